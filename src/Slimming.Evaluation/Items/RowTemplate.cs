using System.Globalization;
using System.Text;
using System.Text.Json;
using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;

namespace Slimming.Evaluation.Items;

/// <summary>
/// Fills a task's templates from a data row: {field}, {field.inner}, {field[0]}, with filters behind bars as in
/// {question|strip}; {{ and }} are braces. Problems are <see cref="FormatException"/>s; the caller adds task and row.
/// </summary>
internal sealed class RowTemplate(TaskDefinition task, JsonElement row)
{
    public string Render(string template) => Fill(template, Evaluate);

    /// <summary>What is wrong with a template whatever the row; null where nothing is.</summary>
    public static string? Problem(string template)
    {
        string? problem = null;
        try
        {
            Fill(
                template,
                expression =>
                {
                    var parts = expression.Split('|', StringSplitOptions.TrimEntries);
                    problem ??=
                        parts[0].Length == 0
                            ? "a field name is missing"
                            : parts.Skip(1).Select(TextFilters.Problem).FirstOrDefault(found => found is not null);
                    return "";
                }
            );
        }
        catch (FormatException error)
        {
            problem = error.Message;
        }
        return problem;
    }

    private static string Fill(string template, Func<string, string> evaluate)
    {
        var result = new StringBuilder();
        for (var i = 0; i < template.Length; i++)
        {
            var c = template[i];
            if (c is '{' or '}' && i + 1 < template.Length && template[i + 1] == c)
            {
                result.Append(c);
                i++;
            }
            else if (c == '{')
            {
                var end = template.IndexOf('}', i);
                if (end < 0)
                {
                    throw new FormatException($"template \"{template}\": a brace is not closed");
                }
                result.Append(evaluate(template[(i + 1)..end]));
                i = end;
            }
            else
            {
                result.Append(c);
            }
        }
        return result.ToString();
    }

    /// <summary>The strings of a list field.</summary>
    public List<string> RenderList(string path)
    {
        var value = Lookup(path);
        return value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Select(item => ToText(item, path))]
            : throw new FormatException($"field {path}: expected a list, found {value.ValueKind}");
    }

    private string Evaluate(string expression)
    {
        var parts = expression.Split('|');
        var name = parts[0].Trim();
        var text = name == "variant" ? task.Variant : ToText(Lookup(name), name);
        return parts.Skip(1).Aggregate(text, (current, filter) => TextFilters.Apply(filter.Trim(), current));
    }

    private JsonElement Lookup(string name)
    {
        if (task.Fields.TryGetValue(name, out var candidates))
        {
            foreach (var candidate in candidates)
            {
                if (TryPath(candidate, out var value))
                {
                    return value;
                }
            }
            throw Absent(string.Join(" or ", candidates));
        }
        return TryPath(name, out var found) ? found : throw Absent(name);
    }

    private bool TryPath(string path, out JsonElement value)
    {
        value = row;
        foreach (var step in path.Split('.'))
        {
            var bracket = step.IndexOf('[', StringComparison.Ordinal);
            var key = bracket < 0 ? step : step[..bracket];
            if (value.ValueKind != JsonValueKind.Object || !value.TryGetProperty(key, out value))
            {
                return false;
            }
            if (bracket >= 0)
            {
                if (
                    !int.TryParse(step[(bracket + 1)..].TrimEnd(']'), CultureInfo.InvariantCulture, out var index)
                    || value.ValueKind != JsonValueKind.Array
                    || (uint)index >= (uint)value.GetArrayLength()
                )
                {
                    return false;
                }
                value = value[index];
            }
        }
        return value.ValueKind != JsonValueKind.Null;
    }

    /// <summary>A field without a value counts as absent, and is told as empty.</summary>
    private FormatException Absent(string name) =>
        new(
            $"no field {name}; the row has "
                + string.Join(
                    ", ",
                    row.EnumerateObject()
                        .Select(field =>
                            field.Value.ValueKind == JsonValueKind.Null ? $"{field.Name} (null)" : field.Name
                        )
                )
        );

    private static string ToText(JsonElement value, string name) =>
        value.ValueKind switch
        {
            JsonValueKind.String => ToString(value, name),
            JsonValueKind.Number => value.GetRawText(),
            JsonValueKind.True => "true",
            JsonValueKind.False => "false",
            _ => throw new FormatException($"field {name}: expected text or a number, found {value.ValueKind}"),
        };

    private static string ToString(JsonElement value, string name)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException error)
        {
            throw new FormatException(
                $"field {name}: found one half of a surrogate pair (\\ud800 to \\udfff); expected both halves",
                error
            );
        }
    }
}
