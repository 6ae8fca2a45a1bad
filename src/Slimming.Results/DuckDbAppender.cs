using System.Runtime.InteropServices;
using Slimming.Results.Interop;

namespace Slimming.Results;

/// <summary>Writes rows into a table chunk by chunk, values bit-exact (no SQL text in between).</summary>
public sealed unsafe class DuckDbAppender : IDisposable
{
    private readonly IReadOnlyList<DuckDbType> _types;
    private readonly string _table;
    private readonly ulong _capacity = DuckDbNative.duckdb_vector_size();
    private nint _appender;
    private nint _chunk;
    private ulong _rows;

    internal DuckDbAppender(ConnectionHandle connection, string table, IReadOnlyList<DuckDbType> types)
    {
        _types = types;
        _table = table;
        if (DuckDbNative.duckdb_appender_create(connection, null, table, out _appender) != 0)
        {
            var error = Error();
            Dispose();
            throw error;
        }
        var native = types.Select(t => t.CreateNative()).ToArray();
        fixed (nint* first = native)
        {
            _chunk = DuckDbNative.duckdb_create_data_chunk(first, (ulong)native.Length);
        }
        for (var i = 0; i < native.Length; i++)
        {
            DuckDbNative.duckdb_destroy_logical_type(ref native[i]);
        }
    }

    public void Add(params ReadOnlySpan<object?> values)
    {
        if (values.Length != _types.Count)
        {
            throw new ArgumentException($"{_types.Count} values expected, {values.Length} given", nameof(values));
        }
        for (var i = 0; i < values.Length; i++)
        {
            var vector = DuckDbNative.duckdb_data_chunk_get_vector(_chunk, (ulong)i);
            VectorWriter.Write(vector, _rows, _types[i], values[i]);
        }
        if (++_rows == _capacity)
        {
            FlushChunk();
        }
    }

    /// <summary>Hands the last rows over; the table then holds all of them.</summary>
    public void Complete()
    {
        FlushChunk();
        if (DuckDbNative.duckdb_appender_close(_appender) != 0)
        {
            throw Error();
        }
    }

    public void Dispose()
    {
        if (_chunk != 0)
        {
            DuckDbNative.duckdb_destroy_data_chunk(ref _chunk);
        }
        if (_appender != 0)
        {
            _ = DuckDbNative.duckdb_appender_destroy(ref _appender);
        }
    }

    private void FlushChunk()
    {
        if (_rows == 0)
        {
            return;
        }
        DuckDbNative.duckdb_data_chunk_set_size(_chunk, _rows);
        if (DuckDbNative.duckdb_append_data_chunk(_appender, _chunk) != 0)
        {
            throw Error();
        }
        DuckDbNative.duckdb_data_chunk_reset(_chunk);
        _rows = 0;
    }

    private ResultsException Error() =>
        new(
            ResultsFault.Failed,
            $"DuckDB, appending to {_table}: {Marshal.PtrToStringUTF8((nint)DuckDbNative.duckdb_appender_error(_appender))}"
        );
}
