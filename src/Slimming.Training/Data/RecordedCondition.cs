using System.Text.Json;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Training.Data;

/// <summary>
/// A condition that stands in a record: nobody here typed it, so only what compares columns is asked, and nothing that makes
/// a text or a list larger than it was.
/// </summary>
public static class RecordedCondition
{
    private const int MostCharacters = 4096;

    private static readonly HashSet<string> s_classes =
    [
        "COLUMN_REF",
        "CONSTANT",
        "COMPARISON",
        "CONJUNCTION",
        "OPERATOR",
        "CAST",
        "BETWEEN",
        "CASE",
        "FUNCTION",
    ];

    private static readonly HashSet<string> s_functions =
    [
        .. "+ - * / // % ~~ !~~ ~~* !~~* ^@ -> ->>".Split(' '),
        .. "abs array_extract array_length ceil ceiling coalesce contains day ends_with floor greatest hash ifnull".Split(
            ' '
        ),
        .. "ilike_escape instr isnan json_array_length json_extract json_extract_string json_type lcase least left len".Split(
            ' '
        ),
        .. "length like_escape list_contains list_extract list_has lower ltrim md5 mod month not_ilike_escape".Split(
            ' '
        ),
        .. "not_like_escape nullif octet_length position prefix regexp_full_match regexp_matches right round rtrim".Split(
            ' '
        ),
        .. "sign starts_with strlen strpos struct_extract substr substring suffix trim ucase upper year".Split(' '),
    ];

    /// <param name="where">The condition.</param>
    /// <param name="origin">Where it stands.</param>
    /// <exception cref="SlimmingException">Exit code 2: it is more than a comparison of columns, or no SQL.</exception>
    public static void Require(string where, string origin)
    {
        ArgumentNullException.ThrowIfNull(where);
        if (Fault(where) is { } found)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{origin}: --where: found {found}; expected a comparison of columns by plain functions; name the files with --data"
            );
        }
    }

    private static string? Fault(string where)
    {
        if (where.Length > MostCharacters)
        {
            return $"{where.Length} characters (at most {MostCharacters})";
        }
        using var db = DuckDb.Open(64);
        string text;
        try
        {
            text = (string)
                db.Query("SELECT json_serialize_sql(?::VARCHAR)::VARCHAR", $"SELECT ({where}\n)").Single()[0]!;
        }
        catch (ResultsException e)
        {
            return e.Message;
        }
        try
        {
            using var parsed = JsonDocument.Parse(text);
            return Fault(parsed.RootElement);
        }
        catch (JsonException)
        {
            return "more levels than a condition needs";
        }
    }

    private static string? Fault(JsonElement root)
    {
        if (root.GetProperty("error").GetBoolean())
        {
            return root.GetProperty("error_message").GetString();
        }
        var statements = root.GetProperty("statements");
        var node = statements[0].GetProperty("node");
        var isOneExpression =
            statements.GetArrayLength() == 1
            && node.GetProperty("type").GetString() == "SELECT_NODE"
            && node.GetProperty("select_list").GetArrayLength() == 1
            && node.GetProperty("from_table").GetProperty("type").GetString() == "EMPTY"
            && node.GetProperty("where_clause").ValueKind == JsonValueKind.Null
            && node.GetProperty("having").ValueKind == JsonValueKind.Null
            && node.GetProperty("qualify").ValueKind == JsonValueKind.Null
            && node.GetProperty("modifiers").GetArrayLength() == 0;
        return isOneExpression ? Stranger(node.GetProperty("select_list")[0]) : "more than one expression";
    }

    /// <summary>The first part that is not of the known ones.</summary>
    private static string? Stranger(JsonElement part)
    {
        if (part.ValueKind == JsonValueKind.Array)
        {
            return part.EnumerateArray().Select(Stranger).FirstOrDefault(found => found is not null);
        }
        if (part.ValueKind != JsonValueKind.Object)
        {
            return null;
        }
        if (part.TryGetProperty("class", out var kind) && kind.GetString() is { } name)
        {
            if (!s_classes.Contains(name))
            {
                return $"a part of kind {name}";
            }
            if (name == "FUNCTION" && !s_functions.Contains(part.GetProperty("function_name").GetString()!))
            {
                return $"the function {part.GetProperty("function_name").GetString()}";
            }
        }
        return part.EnumerateObject().Select(child => Stranger(child.Value)).FirstOrDefault(found => found is not null);
    }
}
