using System.Runtime.InteropServices;
using Slimming.Results.Interop;

namespace Slimming.Results;

/// <summary>A running query: its column names, and the chunk that is being read.</summary>
internal sealed unsafe class DuckDbResult : IDisposable
{
    private readonly DuckDbNative.Result* _result;
    private readonly string[] _columns = [];
    private nint _chunk;

    public DuckDbResult(StatementHandle statement)
    {
        // On the native heap: DuckDB keeps the address while an iterator's frame moves.
        _result = (DuckDbNative.Result*)NativeMemory.AllocZeroed((nuint)sizeof(DuckDbNative.Result));
        try
        {
            if (DuckDbNative.duckdb_execute_prepared_streaming(statement, _result) != 0)
            {
                throw Error();
            }
            _columns = new string[DuckDbNative.duckdb_column_count(_result)];
            for (var i = 0; i < _columns.Length; i++)
            {
                _columns[i] = Marshal.PtrToStringUTF8((nint)DuckDbNative.duckdb_column_name(_result, (ulong)i)) ?? "";
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public ulong ChunkRows { get; private set; }

    public bool NextChunk()
    {
        DropChunk();
        _chunk = DuckDbNative.duckdb_fetch_chunk(*_result);
        if (_chunk == 0)
        {
            // The end and a failure both come as null; only the error text tells them apart.
            return DuckDbNative.duckdb_result_error(_result) == null ? false : throw Error();
        }
        ChunkRows = DuckDbNative.duckdb_data_chunk_get_size(_chunk);
        return ChunkRows > 0;
    }

    public DuckDbRow Row(ulong index)
    {
        var values = new object?[_columns.Length];
        for (var i = 0; i < values.Length; i++)
        {
            var vector = DuckDbNative.duckdb_data_chunk_get_vector(_chunk, (ulong)i);
            values[i] = VectorReader.Read(vector, index, _columns[i]);
        }
        return new DuckDbRow(_columns, values);
    }

    public void Dispose()
    {
        DropChunk();
        DuckDbNative.duckdb_destroy_result(_result);
        NativeMemory.Free(_result);
    }

    private ResultsException Error() =>
        DuckDb.Fault(Marshal.PtrToStringUTF8((nint)DuckDbNative.duckdb_result_error(_result)));

    private void DropChunk()
    {
        if (_chunk != 0)
        {
            DuckDbNative.duckdb_destroy_data_chunk(ref _chunk);
            ChunkRows = 0;
        }
    }
}
