using System.Collections;
using System.Text;

namespace Slimming.Results.Interop;

/// <summary>Writes one .NET value into a cell of a DuckDB vector.</summary>
internal static unsafe class VectorWriter
{
    public static void Write(nint vector, ulong row, DuckDbType type, object? value)
    {
        if (value is null)
        {
            DuckDbNative.duckdb_vector_ensure_validity_writable(vector);
            var validity = DuckDbNative.duckdb_vector_get_validity(vector);
            validity[row / 64] &= ~(1UL << (int)(row % 64));
            return;
        }
        var data = DuckDbNative.duckdb_vector_get_data(vector);
        switch (type.Id)
        {
            case DuckDbTypeId.Boolean:
                ((byte*)data)[row] = (bool)value ? (byte)1 : (byte)0;
                break;
            case DuckDbTypeId.BigInt:
                ((long*)data)[row] = Convert.ToInt64(value);
                break;
            case DuckDbTypeId.Double:
                ((double*)data)[row] = Convert.ToDouble(value);
                break;
            case DuckDbTypeId.Varchar:
                var bytes = Encoding.UTF8.GetBytes((string)value);
                fixed (byte* pointer = bytes)
                {
                    byte none = 0;
                    DuckDbNative.duckdb_vector_assign_string_element_len(
                        vector,
                        row,
                        pointer == null ? &none : pointer,
                        (ulong)bytes.Length
                    );
                }
                break;
            case DuckDbTypeId.List:
                WriteList(vector, row, type.Child!, (IEnumerable)value);
                break;
            default:
                throw new InvalidOperationException($"no writer for {type.Sql}");
        }
    }

    private static void WriteList(nint vector, ulong row, DuckDbType childType, IEnumerable values)
    {
        var items = values.Cast<object?>().ToArray();
        var start = DuckDbNative.duckdb_list_vector_get_size(vector);
        var end = start + (ulong)items.Length;
        if (
            DuckDbNative.duckdb_list_vector_reserve(vector, end) != 0
            || DuckDbNative.duckdb_list_vector_set_size(vector, end) != 0
        )
        {
            throw new ResultsException(ResultsFault.Failed, $"DuckDB could not hold a list of {items.Length} values");
        }
        var entries = (DuckDbNative.ListEntry*)DuckDbNative.duckdb_vector_get_data(vector);
        entries[row] = new DuckDbNative.ListEntry { Offset = start, Length = (ulong)items.Length };
        var child = DuckDbNative.duckdb_list_vector_get_child(vector);
        for (var i = 0; i < items.Length; i++)
        {
            Write(child, start + (ulong)i, childType, items[i]);
        }
    }
}
