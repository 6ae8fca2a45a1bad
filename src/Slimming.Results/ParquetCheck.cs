using Slimming.Shared;

namespace Slimming.Results;

/// <summary>What a Parquet file says of itself before its rows are read: a few hundred bytes may claim millions of rows.</summary>
public static class ParquetCheck
{
    /// <summary>Rows that any file may have; beyond them one for each byte of the file.</summary>
    public const int FreeRows = 1 << 20;

    /// <summary>Entries of the schema; DuckDB takes 0.2 ms for each in every query.</summary>
    private const int MostColumns = 2000;

    /// <param name="db">Reads the footer.</param>
    /// <param name="path">The file.</param>
    /// <param name="literal">Its name as DuckDB takes it; null: <paramref name="path"/>.</param>
    /// <exception cref="ResultsException">The footer cannot be read, or claims what no such file holds.</exception>
    public static void Require(DuckDb db, string path, string? literal = null)
    {
        ArgumentNullException.ThrowIfNull(db);
        RegularFile.Require(path);
        literal ??= path;
        var columns = (long)db.Query("SELECT count(*) FROM parquet_schema(?)", literal).Single()[0]!;
        if (columns > MostColumns)
        {
            throw new ResultsException(
                ResultsFault.Usage,
                $"expected at most {MostColumns} columns, parts of nested ones counted, found {columns}"
            );
        }
        var most = FreeRows + new FileInfo(path).Length;
        var row = db.Query(
                "SELECT (SELECT num_rows FROM parquet_file_metadata(?)) AS whole, coalesce(sum(rows), 0)::HUGEINT AS parts, "
                    + "coalesce(min(rows), 0) AS least FROM (SELECT any_value(row_group_num_rows) AS rows "
                    + "FROM parquet_metadata(?) GROUP BY row_group_id)",
                literal,
                literal
            )
            .Single();
        var (whole, parts, least) = (row.Integer("whole"), row.Integer("parts"), row.Integer("least"));
        if (whole is not >= 0 || whole > most || parts > most || least < 0)
        {
            throw new ResultsException(
                ResultsFault.Usage,
                $"expected 0 to {most} rows in a file of this size, the footer says {whole} and its parts {parts}; write it anew without rows "
                    + "that are all the same, or as JSONL"
            );
        }
    }
}
