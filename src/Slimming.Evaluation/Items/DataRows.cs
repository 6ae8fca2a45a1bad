using System.Text.Json;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation.Items;

/// <summary>The rows of a benchmark data file as JSON objects, in file order. JSONL, JSON arrays, CSV, Parquet and plain text.</summary>
internal static class DataRows
{
    /// <summary>The first candidate that exists below the data folder.</summary>
    public static string Locate(string dataDir, IReadOnlyList<string> candidates, TaskDefinition task, string key)
    {
        foreach (var candidate in candidates)
        {
            // A user's own task file may name its data beside itself.
            var beside = Path.Combine(Path.GetDirectoryName(task.Origin) ?? "", candidate);
            var path = Path.Combine(dataDir, candidate.Replace("{variant}", task.Variant, StringComparison.Ordinal));
            if (File.Exists(path))
            {
                return path;
            }
            if (File.Exists(task.Origin) && File.Exists(beside))
            {
                return beside;
            }
        }
        var names = string.Join(
            " or ",
            candidates.Select(c => c.Replace("{variant}", task.Variant, StringComparison.Ordinal))
        );
        throw new SlimmingException(
            ExitCode.Usage,
            $"task {task.Name}: {key} not found: expected {names} below {Path.GetFullPath(dataDir)} (--data-dir)"
        );
    }

    public static List<JsonElement> Load(string path, IReadOnlyList<string> columns, TextRows textRows)
    {
        try
        {
            var rows = Path.GetExtension(path).ToLowerInvariant() switch
            {
                ".jsonl" or ".ndjson" => JsonLines(path),
                ".json" => JsonArray(path),
                ".csv" => Csv(path, columns),
                ".parquet" => Parquet(path),
                ".txt" => Text(path, textRows),
                _ => throw new SlimmingException(
                    ExitCode.Usage,
                    $"{path}: unknown kind of data file; expected .jsonl, .json, .csv, .parquet or .txt"
                ),
            };
            return rows.Count > 0 ? rows : throw new SlimmingException(ExitCode.Usage, $"{path}: no rows");
        }
        catch (ResultsException error)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: {error.Message}", error);
        }
    }

    private static List<JsonElement> JsonLines(string path)
    {
        var rows = new List<JsonElement>();
        var number = 0;
        foreach (var line in File.ReadLines(path))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line))
            {
                rows.Add(ParseObject(line, path, $"line {number}"));
            }
        }
        return rows;
    }

    private static List<JsonElement> JsonArray(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllText(path));
            if (document.RootElement.ValueKind != JsonValueKind.Array)
            {
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"{path}: expected an array of objects, found {document.RootElement.ValueKind}"
                );
            }
            return
            [
                .. document
                    .RootElement.EnumerateArray()
                    .Select((row, i) => RequireObject(row.Clone(), path, $"row {i}")),
            ];
        }
        catch (JsonException error)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: not valid JSON: {error.Message}", error);
        }
    }

    private static List<JsonElement> Parquet(string path)
    {
        using var db = DuckDb.Open();
        return
        [
            .. db.Query("SELECT to_json(t)::VARCHAR FROM read_parquet(?) AS t", path)
                .Select((row, i) => ParseObject((string)row[0]!, path, $"row {i}")),
        ];
    }

    // Every value stays a string; DuckDB only takes the quoting apart.
    private static List<JsonElement> Csv(string path, IReadOnlyList<string> columns)
    {
        using var db = DuckDb.Open();
        var table = db.Query(
                "SELECT to_json(t)::VARCHAR FROM read_csv(?, header = false, all_varchar = true, delim = ',', quote = '\"', escape = '\"', "
                    + "nullstr = chr(1), parallel = false) AS t",
                path
            )
            .Select(row =>
                ParseObject((string)row[0]!, path, "row")
                    .EnumerateObject()
                    .Select(cell => cell.Value.GetString() ?? "")
                    .ToArray()
            )
            .ToList();
        if (table.Count == 0)
        {
            return [];
        }
        var header = table[0];
        var hasHeader = columns.Count == 0 || string.Equals(header[0], columns[0], StringComparison.OrdinalIgnoreCase);
        var names = columns.Count == 0 ? header : [.. columns];
        if (names.Length != header.Length)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{path}: {header.Length} columns, expected {names.Length} ({string.Join(", ", names)})"
            );
        }
        return
        [
            .. table
                .Skip(hasHeader ? 1 : 0)
                .Select(row =>
                    JsonSerializer.SerializeToElement(
                        names.Zip(row).ToDictionary(pair => pair.First, pair => pair.Second, StringComparer.Ordinal)
                    )
                ),
        ];
    }

    private static List<JsonElement> Text(string path, TextRows textRows)
    {
        IEnumerable<string> texts = textRows == TextRows.Lines ? File.ReadLines(path) : [File.ReadAllText(path)];
        return
        [
            .. texts.Select(text =>
                JsonSerializer.SerializeToElement(
                    new Dictionary<string, string>(StringComparer.Ordinal) { ["text"] = text }
                )
            ),
        ];
    }

    private static JsonElement ParseObject(string json, string path, string place)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            return RequireObject(document.RootElement.Clone(), path, place);
        }
        catch (JsonException error)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: {place}: not valid JSON: {error.Message}", error);
        }
    }

    private static JsonElement RequireObject(JsonElement row, string path, string place) =>
        row.ValueKind == JsonValueKind.Object
            ? row
            : throw new SlimmingException(
                ExitCode.Usage,
                $"{path}: {place}: expected an object, found {row.ValueKind}"
            );
}
