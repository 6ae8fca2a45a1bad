using System.Text.Json;
using Slimming.Gguf;

namespace Slimming.Training.Data;

/// <summary>One row of a data file as a JSON object, and where it stands.</summary>
internal sealed record DataRow(string File, long Number, JsonElement Fields, int Part = 0)
{
    /// <summary>"file, row 3 (from 0)": how messages name the place.</summary>
    public string Place => $"{File}, row {Number} (from 0)";

    public SlimmingException Error(string message) => new(ExitCode.Usage, $"{Place}: {message}");

    public bool Has(string column) =>
        Fields.TryGetProperty(column, out var value) && value.ValueKind is not JsonValueKind.Null;

    /// <summary>A text that must be there.</summary>
    public string Text(string column) =>
        OptionalText(column) ?? throw Error($"column '{column}' is missing or null; expected a text{Found()}");

    /// <summary>A text, or null where the column is absent or null.</summary>
    public string? OptionalText(string column)
    {
        if (!Fields.TryGetProperty(column, out var value))
        {
            return null;
        }
        return value.ValueKind switch
        {
            JsonValueKind.Null => null,
            JsonValueKind.String => value.GetString(),
            _ => throw Error($"column '{column}' holds {Describe(value)}; expected a text"),
        };
    }

    /// <summary>A list; a text that holds one as JSON counts too, because CSV has nothing else.</summary>
    public JsonElement List(string column)
    {
        var value = Fields.TryGetProperty(column, out var found) ? found : default;
        if (value.ValueKind == JsonValueKind.String && value.GetString()!.AsSpan().TrimStart().StartsWith("["))
        {
            try
            {
                using var parsed = JsonDocument.Parse(value.GetString()!);
                value = parsed.RootElement.Clone();
            }
            catch (JsonException e)
            {
                throw Error($"column '{column}' holds a text that is no JSON list: {e.Message}");
            }
        }
        return value.ValueKind == JsonValueKind.Array
            ? value
            : throw Error($"column '{column}' holds {Describe(value)}; expected a list{Found()}");
    }

    /// <summary>The columns that are there, for a row that lacks those of its file's first row.</summary>
    private string Found() => $" (columns found: {string.Join(", ", Fields.EnumerateObject().Select(p => p.Name))})";

    public int[] Integers(string column)
    {
        var list = List(column);
        var values = new int[list.GetArrayLength()];
        var i = 0;
        foreach (var item in list.EnumerateArray())
        {
            values[i] =
                Whole(item)
                ?? throw Error($"column '{column}', element {i}: {Describe(item)}; expected a whole number");
            i++;
        }
        return values;
    }

    /// <summary>A whole number, also as data frames write it: 7.0.</summary>
    private static int? Whole(JsonElement item) =>
        item.ValueKind == JsonValueKind.Number
        && item.TryGetDouble(out var value)
        && value == Math.Truncate(value)
        && Math.Abs(value) <= int.MaxValue
            ? (int)value
            : null;

    public static string Describe(JsonElement value) =>
        value.ValueKind switch
        {
            JsonValueKind.Undefined => "nothing",
            JsonValueKind.Null => "null",
            JsonValueKind.Array => "a list",
            JsonValueKind.Object => "an object",
            JsonValueKind.String => $"a text ('{Short(value.GetString()!)}')",
            _ => value.GetRawText(),
        };

    private static string Short(string text) => text.Length <= 40 ? text : text[..40] + "...";
}
