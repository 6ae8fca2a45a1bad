using System.Text;
using System.Text.Json;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Results;
using Slimming.Shared;

namespace Slimming.Evaluation.Items;

/// <summary>The rows of a benchmark data file as JSON objects, in file order. JSONL, JSON arrays, CSV, TSV, Parquet and plain text.</summary>
internal static class DataRows
{
    /// <summary>Rows of a file.</summary>
    /// <exception cref="SlimmingException">The file cannot be read as its name says; names task, file and row.</exception>
    public static List<JsonElement> Load(string path, TaskDefinition task)
    {
        try
        {
            var rows = Kind(path) switch
            {
                ".jsonl" or ".ndjson" or ".json" => Json(path),
                ".csv" => Csv(path, task.Columns),
                ".tsv" => Tsv(path, task.Columns),
                ".parquet" => Parquet(path),
                ".txt" => Text(path, task.Rows),
                _ => throw new FormatException(
                    "unknown kind of data file; expected .jsonl, .json, .csv, .tsv, .parquet or .txt, all but .parquet also with .gz"
                ),
            };
            return rows.Count > 0 ? rows : throw new FormatException("no rows");
        }
        catch (DecoderFallbackException error)
        {
            throw new SlimmingException(ExitCode.Usage, $"task {task.Name}: {path}: {DataText.NotUtf8(error)}", error);
        }
        catch (Exception error)
            when (error is FormatException or ResultsException or InvalidDataException or IOException)
        {
            throw new SlimmingException(ExitCode.Usage, $"task {task.Name}: {path}: {error.Message}", error);
        }
    }

    /// <summary>How many rows a file has; kept in no memory where the file's form allows it.</summary>
    public static long Count(string path, TaskDefinition task)
    {
        try
        {
            switch (Kind(path))
            {
                case ".jsonl" or ".ndjson":
                    return DataText.Lines(path).LongCount(line => !string.IsNullOrWhiteSpace(line));
                case ".parquet":
                    using (var db = DuckDb.Open())
                    {
                        ParquetCheck.Require(db, path);
                        return (long)db.Query("SELECT count(*) FROM read_parquet(?)", path).Single()[0]!;
                    }
                default:
                    return Load(path, task).Count;
            }
        }
        catch (Exception error)
            when (error is FormatException or ResultsException or InvalidDataException or IOException)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: {error.Message}", error);
        }
    }

    private static string Kind(string path)
    {
        var kind = Path.GetExtension(path).ToLowerInvariant();
        return kind == ".gz" ? Path.GetExtension(path[..^3]).ToLowerInvariant() : kind;
    }

    /// <summary>An array of objects, or an object a line: the hub has both under .json.</summary>
    private static List<JsonElement> Json(string path)
    {
        using (var reader = DataText.Open(path))
        {
            while (reader.Peek() >= 0 && char.IsWhiteSpace((char)reader.Peek()))
            {
                _ = reader.Read();
            }
            if (reader.Peek() == '[')
            {
                return JsonArray(reader.ReadToEnd());
            }
        }
        return JsonLines(path);
    }

    private static List<JsonElement> JsonLines(string path)
    {
        var rows = new List<JsonElement>();
        var number = 0;
        foreach (var line in DataText.Lines(path))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line))
            {
                rows.Add(ParseObject(line, $"line {number}"));
            }
        }
        return rows;
    }

    private static List<JsonElement> JsonArray(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return
            [
                .. document.RootElement.EnumerateArray().Select((row, i) => RequireObject(row.Clone(), $"row {i}")),
            ];
        }
        catch (JsonException error)
        {
            throw new FormatException($"not valid JSON: {error.Message}", error);
        }
    }

    private static List<JsonElement> Parquet(string path)
    {
        using var db = DuckDb.Open();
        ParquetCheck.Require(db, path);
        var bytes = PackedFile.Most(new FileInfo(path).Length);
        return
        [
            .. db.Query("SELECT to_json(slimming_row)::VARCHAR FROM read_parquet(?) AS slimming_row", path)
                .Select(
                    (row, i) =>
                        (bytes -= Math.Max(0, ((string)row[0]!).Length - PackedFile.FreeRowLength)) >= 0
                            ? ParseObject((string)row[0]!, $"row {i}")
                            : throw new FormatException($"row {i}: {PackedFile.TooMuch}")
                ),
        ];
    }

    private static List<JsonElement> Csv(string path, IReadOnlyList<string> columns)
    {
        if (PackedFile.IsPacked(path))
        {
            // DuckDB would unpack it whatever comes out.
            PackedFile.Require(path);
        }
        try
        {
            return Table(CsvCells(path), columns);
        }
        catch (ResultsException error)
        {
            throw new FormatException(CsvProblem(error.Message), error);
        }
    }

    // Every value stays a string; DuckDB only takes the quoting apart, and may not take a first line for a note.
    private static List<string[]> CsvCells(string path)
    {
        using var db = DuckDb.Open();
        return
        [
            .. db.Query(
                    "SELECT to_json(t)::VARCHAR FROM read_csv(?, header = false, all_varchar = true, delim = ',', quote = '\"', escape = '\"', "
                        + "skip = 0, comment = '', nullstr = chr(1), parallel = false) AS t",
                    path
                )
                .Select(row =>
                    ParseObject((string)row[0]!, "row")
                        .EnumerateObject()
                        .Select(cell => cell.Value.GetString() ?? "")
                        .ToArray()
                ),
        ];
    }

    /// <summary>Of DuckDB's message what is about the file; the rest is about options that nobody set here.</summary>
    private static string CsvProblem(string message)
    {
        var found = message
            .Split('\n')
            .TakeWhile(line => !line.StartsWith("Possible fixes", StringComparison.Ordinal))
            .Select(line => line[Math.Max(0, line.IndexOf("CSV Error on", StringComparison.Ordinal))..].Trim())
            .Where(line =>
                line.StartsWith("CSV Error on", StringComparison.Ordinal)
                || line.StartsWith("Original Line", StringComparison.Ordinal)
                || line.StartsWith("Expected Number", StringComparison.Ordinal)
            );
        return "expected values between commas, as many in every row, and quotes within quotes doubled; "
            + string.Join("; ", found.DefaultIfEmpty(message.Split('\n')[0]));
    }

    /// <summary>Tabs alone divide; quotes are text.</summary>
    private static List<JsonElement> Tsv(string path, IReadOnlyList<string> columns) =>
        Table([.. DataText.Lines(path).Where(line => line.Length > 0).Select(line => line.Split('\t'))], columns);

    private static List<JsonElement> Table(List<string[]> table, IReadOnlyList<string> columns)
    {
        if (table.Count == 0)
        {
            return [];
        }
        var header = table[0];
        var hasHeader = columns.Count == 0 || string.Equals(header[0], columns[0], StringComparison.OrdinalIgnoreCase);
        var names = columns.Count == 0 ? header : [.. columns];
        if (names.Distinct(StringComparer.Ordinal).Count() < names.Length)
        {
            throw new FormatException($"expected every column once, found {string.Join(", ", names)}");
        }
        return
        [
            .. table
                .Skip(hasHeader ? 1 : 0)
                .Select(
                    (row, i) =>
                        row.Length == names.Length
                            ? JsonSerializer.SerializeToElement(
                                names
                                    .Zip(row)
                                    .ToDictionary(pair => pair.First, pair => pair.Second, StringComparer.Ordinal)
                            )
                            : throw new FormatException(
                                $"row {i}: {row.Length} columns, expected {names.Length} ({string.Join(", ", names)})"
                            )
                ),
        ];
    }

    private static List<JsonElement> Text(string path, TextRows textRows)
    {
        using var reader = DataText.Open(path);
        IEnumerable<string> texts = textRows == TextRows.Lines ? DataText.Lines(path) : [reader.ReadToEnd()];
        return
        [
            .. texts.Select(text =>
                JsonSerializer.SerializeToElement(
                    new Dictionary<string, string>(StringComparer.Ordinal) { ["text"] = text }
                )
            ),
        ];
    }

    private static JsonElement ParseObject(string json, string place)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            return RequireObject(document.RootElement.Clone(), place);
        }
        catch (JsonException error)
        {
            throw new FormatException($"{place}: not valid JSON: {error.Message}", error);
        }
    }

    private static JsonElement RequireObject(JsonElement row, string place) =>
        row.ValueKind == JsonValueKind.Object
            ? row
            : throw new FormatException($"{place}: expected an object, found {row.ValueKind}");
}
