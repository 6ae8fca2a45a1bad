using System.Text.Json;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Training.Data;

/// <summary>Reads the rows of data files in order, through DuckDB, each as one JSON object.</summary>
/// <remarks>JSON text is taken as it stands: no column is guessed to be a date or a number.</remarks>
internal static class DatasetReader
{
    private static readonly string[] s_json = [".json", ".jsonl", ".ndjson"];

    /// <exception cref="SlimmingException">A file is missing, of an unknown kind, broken, or has no rows.</exception>
    public static IEnumerable<DataRow> Read(IReadOnlyList<string> patterns)
    {
        using var db = DuckDb.Open(384);
        foreach (var file in patterns.SelectMany(p => Expand(db, p)))
        {
            long number = 0;
            foreach (var json in Rows(db, file))
            {
                using var parsed = JsonDocument.Parse(json);
                var row = new DataRow(file, number, parsed.RootElement);
                if (parsed.RootElement.ValueKind != JsonValueKind.Object)
                {
                    throw row.Error($"holds {DataRow.Describe(parsed.RootElement)}; expected an object with columns");
                }
                yield return row;
                number++;
            }
            if (number == 0)
            {
                throw new SlimmingException(ExitCode.Usage, $"{file}: no rows; expected at least one");
            }
        }
    }

    private static string[] Expand(DuckDb db, string pattern)
    {
        if (File.Exists(pattern))
        {
            return [pattern];
        }
        if (Directory.Exists(pattern))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{pattern}: is a folder; name files, or a pattern such as '{Path.Combine(pattern, "*.jsonl")}'"
            );
        }
        var files =
            pattern.AsSpan().IndexOfAny("*?[") >= 0
                ? Query(db, pattern, "SELECT file FROM glob(?) ORDER BY file").ToArray()
                : [];
        return files.Length > 0 ? files : throw new SlimmingException(ExitCode.Usage, $"{pattern}: no such data file");
    }

    private static IEnumerable<string> Rows(DuckDb db, string file)
    {
        var name = file.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? file[..^3] : file;
        var extension = Path.GetExtension(name).ToLowerInvariant();
        if (new FileInfo(file).Length == 0)
        {
            throw new SlimmingException(ExitCode.Usage, $"{file}: the file is empty");
        }
        // A name with glob characters is still one file here; DuckDB reads it literally in brackets.
        var literal = string.Concat(file.Select(c => c is '*' or '?' or '[' ? $"[{c}]" : c.ToString()));
        if (s_json.Contains(extension))
        {
            return Query(db, literal, "SELECT json::VARCHAR FROM read_json_objects(?, format = 'auto')");
        }
        return extension switch
        {
            ".csv" or ".tsv" => Query(
                db,
                literal,
                "SELECT to_json(t)::VARCHAR FROM "
                    + "read_csv(?, all_varchar = true, header = true, hive_partitioning = false, strict_mode = true) t"
            ),
            ".parquet" => Query(
                db,
                literal,
                "SELECT to_json(t)::VARCHAR FROM read_parquet(?, hive_partitioning = false) t"
            ),
            _ => throw new SlimmingException(
                ExitCode.Usage,
                $"{file}: unknown kind of file '{extension}'; expected .json, .jsonl, .ndjson, .csv, .tsv or .parquet"
            ),
        };
    }

    private static IEnumerable<string> Query(DuckDb db, string file, string sql)
    {
        using var rows = db.Query(sql, file).GetEnumerator();
        while (true)
        {
            string value;
            try
            {
                if (!rows.MoveNext())
                {
                    yield break;
                }
                value = (string)rows.Current[0]!;
            }
            catch (ResultsException e)
            {
                throw new SlimmingException(ExitCode.Usage, $"{file}: cannot be read: {e.Message}", e);
            }
            yield return value;
        }
    }
}
