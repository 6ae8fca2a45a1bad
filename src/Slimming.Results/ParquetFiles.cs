using Slimming.Shared;

namespace Slimming.Results;

/// <summary>Writes records as one Parquet file, beside first and then renamed.</summary>
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
}
