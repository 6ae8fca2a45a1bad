using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Slimming.Fuzz;

/// <summary>JSON that stays JSON: values replaced by others, taken out, or put elsewhere.</summary>
internal static class JsonMutator
{
    private static readonly JsonSerializerOptions s_asWritten = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>What every kind of broken JSON text gets put in.</summary>
    public static IReadOnlyList<string> Words { get; } = ["\"", ",", "{", "}", "[", "]", ":", "null"];

    private static readonly string[] s_values =
    [
        "null",
        "-1",
        "0",
        "1",
        "1e308",
        "2147483647",
        "2147483648",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "0.5",
        "true",
        "\"\"",
        "\"x\"",
        "\"\\u0000\"",
        "\"../../x\"",
        "\"/dev/zero\"",
        "\"[red]\"",
        "\"2020-02-30\"",
        "\"1 = 1\"",
        "[]",
        "[null]",
        "{}",
        "{\"a\":[1]}",
    ];

    /// <summary>A text of one JSON value, or of one on each line.</summary>
    public static byte[] Mutate(string text, bool lines, Random random, out string kind)
    {
        kind = "Values";
        if (!lines)
        {
            return Encoding.UTF8.GetBytes(Change(text, random));
        }
        var rows = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        for (var i = random.Next(1, 3); i > 0; i--)
        {
            var at = random.Next(rows.Length);
            rows[at] = Change(rows[at], random);
        }
        return Encoding.UTF8.GetBytes(string.Join('\n', rows) + "\n");
    }

    private static string Change(string text, Random random)
    {
        var root = JsonNode.Parse(text)!;
        for (var i = random.Next(1, 4); i > 0; i--)
        {
            List<(JsonNode Parent, object Key)> places = [];
            Collect(root, places);
            if (places.Count == 0)
            {
                break;
            }
            var (parent, key) = places[random.Next(places.Count)];
            var value = random.Next(4) switch
            {
                0 => null,
                1 => places[random.Next(places.Count)] is var (from, name) ? At(from, name)?.DeepClone() : null,
                _ => JsonNode.Parse(s_values[random.Next(s_values.Length)]),
            };
            if (random.Next(8) == 0)
            {
                Remove(parent, key);
            }
            else
            {
                Put(parent, key, value);
            }
        }
        return root.ToJsonString(s_asWritten);
    }

    private static void Collect(JsonNode? node, List<(JsonNode, object)> places)
    {
        IEnumerable<(object Key, JsonNode? Value)> children = node switch
        {
            JsonObject fields => fields.Select(field => ((object)field.Key, field.Value)),
            JsonArray items => items.Select((item, i) => ((object)i, item)),
            _ => [],
        };
        foreach (var (key, value) in children)
        {
            places.Add((node!, key));
            Collect(value, places);
        }
    }

    private static JsonNode? At(JsonNode parent, object key) =>
        key is string name ? parent.AsObject()[name] : parent.AsArray()[(int)key];

    private static void Put(JsonNode parent, object key, JsonNode? value)
    {
        if (key is string name)
        {
            parent.AsObject()[name] = value;
        }
        else
        {
            parent.AsArray()[(int)key] = value;
        }
    }

    private static void Remove(JsonNode parent, object key)
    {
        if (key is string name)
        {
            parent.AsObject().Remove(name);
        }
        else
        {
            parent.AsArray().RemoveAt((int)key);
        }
    }
}
