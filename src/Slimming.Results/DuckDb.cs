using System.Runtime.InteropServices;
using System.Text;
using Slimming.Results.Interop;

namespace Slimming.Results;

/// <summary>An in-memory DuckDB that reads and writes data files; no extension is loaded or installed on its own.</summary>
/// <remarks>Use from one thread at a time.</remarks>
public sealed unsafe class DuckDb : IDisposable
{
    private readonly DatabaseHandle _database;
    private readonly ConnectionHandle _connection;

    private DuckDb(DatabaseHandle database)
    {
        _database = database;
        _connection = Connect();
    }

    internal ConnectionHandle Connection => _connection;

    /// <param name="memoryLimitMiB">Most memory DuckDB may use; it fails with a message beyond that.</param>
    /// <exception cref="ResultsException">libduckdb is missing or of another version.</exception>
    public static DuckDb Open(int memoryLimitMiB = 512)
    {
        _ = DuckDbLibrary.Version;
        if (DuckDbNative.duckdb_create_config(out var config) != 0)
        {
            throw new ResultsException(ResultsFault.Failed, "DuckDB could not create a configuration");
        }
        try
        {
            Set(config, "memory_limit", $"{memoryLimitMiB}MiB");
            // One thread: files are small beside training, rows keep their order, and cores stay free.
            Set(config, "threads", "1");
            Set(config, "autoload_known_extensions", "false");
            Set(config, "autoinstall_known_extensions", "false");
            // Nothing spills into the working folder.
            Set(config, "temp_directory", "");
            // A part is read back once, when it is merged; kept, all results would pile up in memory.
            Set(config, "enable_external_file_cache", "false");
            if (DuckDbNative.duckdb_open_ext(null, out var database, config, out var error) != 0)
            {
                var text = Marshal.PtrToStringUTF8((nint)error);
                DuckDbNative.duckdb_free(error);
                throw new ResultsException(ResultsFault.Failed, $"DuckDB did not open: {text}");
            }
            return new DuckDb(new DatabaseHandle(database));
        }
        finally
        {
            DuckDbNative.duckdb_destroy_config(ref config);
        }
    }

    /// <summary>A text as an SQL literal, quotes included.</summary>
    public static string Quote(string literal)
    {
        ArgumentNullException.ThrowIfNull(literal);
        var quoted = "'" + literal.Replace("'", "''", StringComparison.Ordinal) + "'";
        // The statement would end at a NUL.
        return quoted.Contains('\0', StringComparison.Ordinal)
            ? $"({quoted.Replace("\0", "' || chr(0) || '", StringComparison.Ordinal)})"
            : quoted;
    }

    /// <summary>Runs one statement; <paramref name="args"/> fill its <c>?</c> in order.</summary>
    /// <exception cref="ResultsException">DuckDB refused it; the text is DuckDB's.</exception>
    public void Execute(string sql, params object?[] args)
    {
        foreach (var _ in Stream(_connection, sql, args)) { }
    }

    /// <summary>Runs one query and yields its rows as they come, a chunk in memory at a time.</summary>
    /// <exception cref="ResultsException">DuckDB refused it, or failed while reading; the text is DuckDB's.</exception>
    public IEnumerable<DuckDbRow> Query(string sql, params object?[] args)
    {
        // A connection of its own: another statement may run while these rows are being read.
        using var connection = Connect();
        foreach (var row in Stream(connection, sql, args))
        {
            yield return row;
        }
    }

    /// <summary>
    /// From now on no other file can be opened, by whatever the SQL says, and no setting changed: for conditions that
    /// somebody else may have written.
    /// </summary>
    /// <param name="files">The files that stay readable, as they are named in the SQL.</param>
    public void Confine(IEnumerable<string> files)
    {
        Execute($"SET allowed_paths = [{string.Join(", ", files.Select(Quote))}]");
        Execute("SET enable_external_access = false");
        Execute("SET lock_configuration = true");
    }

    /// <summary>Appends rows to a table; dispose it or call <see cref="DuckDbAppender.Complete"/> before reading them.</summary>
    public DuckDbAppender Append(string table, IReadOnlyList<DuckDbType> types) => new(_connection, table, types);

    public void Dispose()
    {
        _connection.Dispose();
        _database.Dispose();
    }

    /// <summary>DuckDB's text; where memory ends, without the advice on settings that nobody here can make.</summary>
    internal static ResultsException Fault(string? text)
    {
        text ??= "";
        var memory = text.StartsWith("Out of Memory Error", StringComparison.Ordinal)
            ? $"{text.Split('\n')[0]}: a text, a list or a part of the file is too large"
            : text;
        return new ResultsException(ResultsFault.Failed, $"DuckDB: {memory}");
    }

    private static void Set(nint config, string name, string value)
    {
        if (DuckDbNative.duckdb_set_config(config, name, value) != 0)
        {
            throw new ResultsException(ResultsFault.Failed, $"DuckDB does not accept the setting {name}='{value}'");
        }
    }

    private ConnectionHandle Connect() =>
        DuckDbNative.duckdb_connect(_database, out var connection) == 0
            ? new ConnectionHandle(connection, _database)
            : throw new ResultsException(ResultsFault.Failed, "DuckDB could not open a connection");

    private static IEnumerable<DuckDbRow> Stream(ConnectionHandle connection, string sql, object?[] args)
    {
        using var statement = Prepare(connection, sql);
        Bind(statement, sql, args);
        using var result = new DuckDbResult(statement);
        while (result.NextChunk())
        {
            for (ulong i = 0; i < result.ChunkRows; i++)
            {
                yield return result.Row(i);
            }
        }
    }

    private static StatementHandle Prepare(ConnectionHandle connection, string sql)
    {
        if (DuckDbNative.duckdb_prepare(connection, sql, out var statement) == 0)
        {
            return new StatementHandle(statement, connection);
        }
        var text = Marshal.PtrToStringUTF8((nint)DuckDbNative.duckdb_prepare_error(statement));
        DuckDbNative.duckdb_destroy_prepare(ref statement);
        throw Fault(text);
    }

    private static void Bind(StatementHandle statement, string sql, object?[] args)
    {
        var expected = DuckDbNative.duckdb_nparams(statement);
        if (expected != (ulong)args.Length)
        {
            throw new ArgumentException($"{expected} parameters expected, {args.Length} given: {sql}", nameof(args));
        }
        for (var i = 0; i < args.Length; i++)
        {
            if (BindOne(statement, (ulong)i + 1, args[i]) != 0)
            {
                throw new ResultsException(ResultsFault.Failed, $"DuckDB did not take parameter {i + 1} of: {sql}");
            }
        }
    }

    private static int BindOne(StatementHandle statement, ulong index, object? value)
    {
        switch (value)
        {
            case null:
                return DuckDbNative.duckdb_bind_null(statement, index);
            case bool flag:
                return DuckDbNative.duckdb_bind_boolean(statement, index, flag ? (byte)1 : (byte)0);
            case int or long or short or byte or uint:
                return DuckDbNative.duckdb_bind_int64(statement, index, Convert.ToInt64(value));
            case float or double:
                return DuckDbNative.duckdb_bind_double(statement, index, Convert.ToDouble(value));
            case string text:
                var bytes = Encoding.UTF8.GetBytes(text);
                byte none = 0;
                fixed (byte* pointer = bytes)
                {
                    return DuckDbNative.duckdb_bind_varchar_length(
                        statement,
                        index,
                        pointer == null ? &none : pointer,
                        (ulong)bytes.Length
                    );
                }
            default:
                throw new ArgumentException(
                    $"a parameter of type {value.GetType().Name} cannot be bound",
                    nameof(value)
                );
        }
    }
}
