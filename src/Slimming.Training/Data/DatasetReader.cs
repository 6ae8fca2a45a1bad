using System.Text;
using System.Text.Json;
using Slimming.Gguf;
using Slimming.Results;
using Slimming.Shared;

namespace Slimming.Training.Data;

/// <summary>A row as JSON text, before it is parsed; Json is null where <c>--where</c> left it out.</summary>
internal sealed record RawRow(string File, int Part, long Number, string? Json)
{
    /// <exception cref="SlimmingException">The text is no object.</exception>
    public JsonDocument Parse()
    {
        // The parser takes half a surrogate pair and fails where the text is asked for.
        if (Json!.Contains("\\ud", StringComparison.OrdinalIgnoreCase))
        {
            RefuseHalfPairs();
        }
        JsonDocument parsed;
        try
        {
            parsed = JsonDocument.Parse(Json);
        }
        catch (JsonException e)
        {
            throw NoJson(e.Message);
        }
        if (parsed.RootElement.ValueKind == JsonValueKind.Object)
        {
            return parsed;
        }
        using (parsed)
        {
            throw new DataRow(File, Number, default).Error(
                $"holds {DataRow.Describe(parsed.RootElement)}; expected an object with columns"
            );
        }
    }

    private void RefuseHalfPairs()
    {
        if (StrictText.NotJson(Encoding.UTF8.GetBytes(Json!)) is { } fault)
        {
            throw NoJson(fault);
        }
    }

    private SlimmingException NoJson(string fault) =>
        new DataRow(File, Number, default).Error($"cannot be read as JSON: {TextFile.FindFault(File) ?? fault}");
}

/// <summary>Reads the rows of data files in order, each as one JSON object.</summary>
/// <remarks>
/// JSON text is taken as it stands: no column is guessed to be a date or a number. In CSV every column is a text. DuckDB
/// is loaded, some 30 MiB, only where it is needed: for patterns, conditions, CSV, Parquet and compressed files.
/// </remarks>
internal static class DatasetReader
{
    private static readonly string[] s_json = [".json", ".jsonl", ".ndjson"];

    /// <param name="sources">In this order.</param>
    /// <param name="where">An SQL condition on the columns; null: every row.</param>
    /// <exception cref="SlimmingException">A file is missing, of an unknown kind, broken, or has no rows.</exception>
    public static IEnumerable<RawRow> Read(IReadOnlyList<DataSource> sources, string? where)
    {
        using LazyDuckDb db = new(384);
        var files = Files(db, sources).ToArray();
        if (where is not null)
        {
            Confine(db.Value, files.Select(found => found.File));
        }
        foreach (var (part, file) in files)
        {
            long number = 0;
            var bytes = PackedFile.Most(new FileInfo(file).Length);
            foreach (var json in Rows(db, file, where))
            {
                bytes -= Math.Max(0, (json?.Length ?? 0) - PackedFile.FreeRowLength);
                if (bytes < 0)
                {
                    throw new SlimmingException(ExitCode.Usage, $"{file}, row {number} (from 0): {PackedFile.TooMuch}");
                }
                yield return new RawRow(file, part, number++, json);
            }
            if (number == 0)
            {
                throw new SlimmingException(ExitCode.Usage, $"{file}: no rows; expected at least one");
            }
        }
    }

    /// <summary>Whether <see cref="Read"/> loads DuckDB.</summary>
    public static bool NeedsDuckDb(IReadOnlyList<DataSource> sources, string? where) =>
        sources.Any(source => !File.Exists(source.Pattern) || !IsPlainJson(source.Pattern, where));

    /// <summary>The files of each source, and which source it is.</summary>
    /// <exception cref="SlimmingException">A file is missing, empty or of an unknown kind.</exception>
    public static IEnumerable<(int Part, string File)> Files(LazyDuckDb db, IReadOnlyList<DataSource> sources)
    {
        for (var part = 0; part < sources.Count; part++)
        {
            foreach (var file in Expand(db, sources[part].Pattern))
            {
                RefuseUnknown(file);
                RefuseBomb(db, file);
                yield return (part, file);
            }
        }
    }

    /// <summary>Before a condition is asked, which may come from a record of somebody else's run.</summary>
    public static void Confine(DuckDb db, IEnumerable<string> files) =>
        db.Confine(files.SelectMany(file => new[] { file, Literal(file) }).Distinct(StringComparer.Ordinal));

    /// <summary>Of each row, whether it meets a condition.</summary>
    public static IEnumerable<bool> Meets(DuckDb db, string file, string where) =>
        Query(db, file, where, $"SELECT (({where}\n)) IS TRUE FROM {Table(file)} slimming_row", Literal(file))
            .Select(row => (bool)row[0]!);

    public static long Count(DuckDb db, string file) =>
        (long)Query(db, file, null, $"SELECT count(*) FROM {Table(file)}", Literal(file)).Single()[0]!;

    /// <summary>Names of the columns.</summary>
    public static IReadOnlyList<string> Columns(DuckDb db, string file) =>
        [
            .. Query(db, file, null, $"SELECT column_name FROM (DESCRIBE SELECT * FROM {Table(file)})", Literal(file))
                .Select(row => (string)row[0]!),
        ];

    /// <summary>Rows of each row group of a Parquet file.</summary>
    public static IEnumerable<long> ParquetGroups(DuckDb db, string file) =>
        Query(
                db,
                file,
                null,
                "SELECT max(row_group_num_rows) FROM parquet_metadata(?) GROUP BY row_group_id ORDER BY row_group_id",
                Literal(file)
            )
            .Select(row => (long)row[0]!);

    /// <summary>Rows of a Parquet file with their numbers.</summary>
    /// <param name="db">Reads it.</param>
    /// <param name="file">Its path.</param>
    /// <param name="ranges">From first to last, both included, ascending, of one row group: no other one is read.</param>
    public static IEnumerable<(long Number, string Json)> ParquetRows(
        DuckDb db,
        string file,
        IReadOnlyList<(long First, long Last)> ranges
    ) =>
        Query(
                db,
                file,
                null,
                $"SELECT file_row_number, to_json(slimming_row)::VARCHAR FROM {Table(file)} slimming_row "
                    + $"WHERE file_row_number BETWEEN {ranges[0].First} AND {ranges[^1].Last} AND ("
                    + string.Join(" OR ", ranges.Select(r => $"file_row_number BETWEEN {r.First} AND {r.Last}"))
                    + ")",
                Literal(file)
            )
            .Select(row => ((long)row[0]!, (string)row[1]!));

    private static string[] Expand(LazyDuckDb db, string pattern)
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
                ? Query(db.Value, pattern, null, "SELECT file FROM glob(?) ORDER BY file", pattern)
                    .Select(row => (string)row[0]!)
                    .ToArray()
                : [];
        return files.Length > 0 ? files : throw new SlimmingException(ExitCode.Usage, $"{pattern}: no such data file");
    }

    private static void RefuseUnknown(string file)
    {
        var extension = TextFile.Extension(file);
        try
        {
            RegularFile.Require(file);
        }
        catch (IOException e)
        {
            throw new SlimmingException(ExitCode.Usage, e.Message, e);
        }
        if (new FileInfo(file).Length == 0)
        {
            throw new SlimmingException(ExitCode.Usage, $"{file}: the file is empty");
        }
        if (!s_json.Contains(extension) && extension is not (".csv" or ".tsv" or ".parquet"))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{file}: unknown kind of file '{extension}'; expected .json, .jsonl, .ndjson, .csv, .tsv or .parquet"
            );
        }
    }

    /// <summary>DuckDB would unpack it whatever comes out.</summary>
    private static void RefuseBomb(LazyDuckDb db, string file)
    {
        try
        {
            if (PackedFile.IsPacked(file))
            {
                PackedFile.Require(file);
            }
            else if (TextFile.Extension(file) == ".parquet")
            {
                ParquetCheck.Require(db.Value, file, Literal(file));
            }
        }
        catch (Exception e) when (e is InvalidDataException or IOException or ResultsException)
        {
            throw new SlimmingException(ExitCode.Usage, $"{file}: cannot be read: {e.Message}", e);
        }
    }

    private static bool IsPlainJson(string file, string? where) =>
        where is null && !PackedFile.IsPacked(file) && s_json.Contains(TextFile.Extension(file));

    private static IEnumerable<string?> Rows(LazyDuckDb lazy, string file, string? where)
    {
        if (IsPlainJson(file, where))
        {
            return JsonRows.Texts(file);
        }
        var db = lazy.Value;
        var literal = Literal(file);
        if (!s_json.Contains(TextFile.Extension(file)))
        {
            var row = Kept(where, "to_json(slimming_row)::VARCHAR");
            return Texts(Query(db, file, where, $"SELECT {row} FROM {Table(file)} slimming_row", literal));
        }
        const string objects = "SELECT json::VARCHAR AS slimming_row FROM read_json_objects(?, format = 'auto')";
        return Texts(
            where is null
                ? Query(db, file, null, objects, literal)
                // The typed columns stand beside the text only for the condition.
                : Query(
                    db,
                    file,
                    where,
                    $"SELECT {Kept(where, "slimming_row")} FROM ({objects}) POSITIONAL JOIN {Table(file)}",
                    literal,
                    literal
                )
        );

        static IEnumerable<string?> Texts(IEnumerable<DuckDbRow> rows) => rows.Select(row => (string?)row[0]);
    }

    /// <summary>A name with glob characters is still one file here; DuckDB reads it literally in brackets.</summary>
    private static string Literal(string file) =>
        string.Concat(file.Select(c => c is '*' or '?' or '[' ? $"[{c}]" : c.ToString()));

    /// <summary>The file's columns, its name a parameter.</summary>
    private static string Table(string file) =>
        TextFile.Extension(file) switch
        {
            // An empty field is an empty text, as in the other formats, and never null.
            ".csv" or ".tsv" => $"read_csv(?, delim = '{TextFile.Delimiter(file)}', quote = '\"', escape = '\"', "
                + "comment = '', skip = 0, header = true, all_varchar = true, strict_mode = true, "
                + "nullstr = '\u0001null\u0001', hive_partitioning = false)",
            ".parquet" => "read_parquet(?, hive_partitioning = false)",
            _ => "read_json(?, format = 'auto', sample_size = -1)",
        };

    /// <summary>The row's text, or null: left out rows are seen too, so that they are counted and numbers stay true.</summary>
    private static string Kept(string? where, string row) =>
        where is null ? row : $"CASE WHEN ({where}\n) THEN {row} END";

    private static IEnumerable<DuckDbRow> Query(
        DuckDb db,
        string file,
        string? where,
        string sql,
        params object?[] args
    )
    {
        using var rows = db.Query(sql, args).GetEnumerator();
        while (true)
        {
            try
            {
                if (!rows.MoveNext())
                {
                    yield break;
                }
            }
            catch (ResultsException e)
            {
                throw new SlimmingException(ExitCode.Usage, Explain(file, where, e.Message), e);
            }
            yield return rows.Current;
        }
    }

    private static string Explain(string file, string? where, string message)
    {
        if (message.Contains("Invalid Input Error", StringComparison.Ordinal) && TextFile.FindFault(file) is { } fault)
        {
            return $"{file}: cannot be read: {fault}";
        }
        // What follows are hints on DuckDB's own settings, and the statement around the condition, which nobody typed.
        var text = message.Split("\n\nLINE ")[0].Split("\nPossible")[0].Split("\nThe search space")[0];
        text = text.Contains("\"slimming_row\"", StringComparison.Ordinal) ? text.Split("\nCandidate")[0] : text;
        return where is null ? $"{file}: cannot be read: {text}" : $"{file}: --where \"{where}\": {text}";
    }
}
