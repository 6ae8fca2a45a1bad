using Slimming.Shared;

namespace Slimming.Results;

/// <summary>Records as one Parquet file: written beside first and then renamed, read as what anybody may have written.</summary>
internal static class ParquetFiles
{
    public static void Write<T>(
        DuckDb db,
        string path,
        IReadOnlyList<ResultColumn<T>> columns,
        IReadOnlyCollection<T> rows
    )
    {
        var fields = string.Join(", ", columns.Select(c => $"\"{c.Name}\" {c.Type.Sql}"));
        db.Execute($"CREATE OR REPLACE TABLE part ({fields})");
        using (var appender = db.Append("part", columns.Select(c => c.Type).ToArray()))
        {
            foreach (var row in rows)
            {
                appender.Add(columns.Select(c => c.Get(row)).ToArray());
            }
            appender.Complete();
        }
        var partial = path + ".partial";
        db.Execute($"COPY part TO {DuckDb.Quote(partial)} (FORMAT parquet, COMPRESSION zstd)");
        db.Execute("DROP TABLE part");
        Durable.Publish(partial, path);
    }

    /// <summary>The rows in order.</summary>
    /// <param name="db">Reads it.</param>
    /// <param name="path">The file.</param>
    /// <param name="columns">What is written; of these those that the file has are read, and must be of their types.</param>
    /// <param name="make">A row as a record; what it throws is told with file and row.</param>
    /// <param name="task">Only rows of this task.</param>
    /// <exception cref="ResultsException">The file cannot be read, or is not what is written here.</exception>
    public static IEnumerable<TRecord> Read<TColumns, TRecord>(
        DuckDb db,
        string path,
        IReadOnlyList<ResultColumn<TColumns>> columns,
        Func<DuckDbRow, TRecord> make,
        string? task = null
    )
    {
        Check(db, path);
        var names = string.Join(", ", Names(db, path, columns).Select(name => $"\"{name}\""));
        var sql = $"SELECT {names} FROM read_parquet(?, hive_partitioning = false)";
        sql += task is null ? "" : $" WHERE task = {DuckDb.Quote(task)}";
        long number = 0;
        foreach (var row in db.Query(sql, path))
        {
            TRecord record;
            try
            {
                record = make(row);
            }
            catch (ResultsException e)
            {
                throw new ResultsException(ResultsFault.Usage, $"{path}: row {number} (from 0): {e.Message}", e);
            }
            number++;
            yield return record;
        }
    }

    private static void Check(DuckDb db, string path)
    {
        try
        {
            ParquetCheck.Require(db, path);
        }
        catch (ResultsException e)
        {
            throw new ResultsException(e.Fault, $"{path}: {e.Message}", e);
        }
    }

    private static List<string> Names<T>(DuckDb db, string path, IReadOnlyList<ResultColumn<T>> columns)
    {
        var found = db.Query(
                "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false))",
                path
            )
            .ToDictionary(row => row.Text("column_name")!, row => row.Text("column_type")!, StringComparer.Ordinal);
        List<string> names = [];
        foreach (var column in columns)
        {
            if (!found.TryGetValue(column.Name, out var type))
            {
                // Columns that were added later are not in every file; a row without one that it needs is told.
                continue;
            }
            names.Add(
                type == column.Type.Sql
                    ? column.Name
                    : throw new ResultsException(
                        ResultsFault.Usage,
                        $"{path}: column '{column.Name}' is of type {type}, expected {column.Type.Sql}, as bench and rescore write it"
                    )
            );
        }
        return names.Count > 0
            ? names
            : throw new ResultsException(
                ResultsFault.Usage,
                $"{path}: has no column of a results file; found {string.Join(", ", found.Keys.Take(8))}"
            );
    }
}
