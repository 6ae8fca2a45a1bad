using System.Runtime.InteropServices;
using System.Text;

namespace Slimming.Results.Interop;

/// <summary>Turns one cell of a DuckDB vector into a .NET value.</summary>
/// <remarks>
/// Whole numbers of any width become <see cref="long"/>, floats <see cref="double"/>, lists arrays (<c>long[]</c> and
/// <c>double[]</c> where no element is null, else <c>object?[]</c>), structs dictionaries.
/// </remarks>
internal static unsafe class VectorReader
{
    public static object? Read(nint vector, ulong row, string column)
    {
        var validity = DuckDbNative.duckdb_vector_get_validity(vector);
        if (validity != null && (validity[row / 64] >> (int)(row % 64) & 1) == 0)
        {
            return null;
        }
        var type = DuckDbNative.duckdb_vector_get_column_type(vector);
        try
        {
            return ReadTyped(vector, row, type, column);
        }
        finally
        {
            DuckDbNative.duckdb_destroy_logical_type(ref type);
        }
    }

    private static object? ReadTyped(nint vector, ulong row, nint type, string column)
    {
        var data = DuckDbNative.duckdb_vector_get_data(vector);
        var id = DuckDbNative.duckdb_get_type_id(type);
        return id switch
        {
            DuckDbTypeId.SqlNull => null,
            DuckDbTypeId.Boolean => ((byte*)data)[row] != 0,
            DuckDbTypeId.TinyInt => (long)((sbyte*)data)[row],
            DuckDbTypeId.SmallInt => (long)((short*)data)[row],
            DuckDbTypeId.Integer => (long)((int*)data)[row],
            DuckDbTypeId.BigInt => ((long*)data)[row],
            DuckDbTypeId.UTinyInt => (long)((byte*)data)[row],
            DuckDbTypeId.USmallInt => (long)((ushort*)data)[row],
            DuckDbTypeId.UInteger => (long)((uint*)data)[row],
            DuckDbTypeId.UBigInt => Fit(((ulong*)data)[row], column),
            DuckDbTypeId.HugeInt => Fit(((Int128*)data)[row], column),
            DuckDbTypeId.Float => (double)((float*)data)[row],
            DuckDbTypeId.Double => ((double*)data)[row],
            DuckDbTypeId.Varchar => Text((DuckDbNative.StringValue*)data + row),
            DuckDbTypeId.List => List(vector, ((DuckDbNative.ListEntry*)data)[row], column),
            DuckDbTypeId.Struct => Struct(vector, row, type, column),
            _ => throw new ResultsException(
                ResultsFault.Failed,
                $"column '{column}' has DuckDB type {(int)id}, which is not read directly; cast it to VARCHAR in the query"
            ),
        };
    }

    private static long Fit(Int128 value, string column) =>
        value >= long.MinValue && value <= long.MaxValue
            ? (long)value
            : throw new ResultsException(ResultsFault.Failed, $"column '{column}' holds {value}, beyond 64 bits");

    private static string Text(DuckDbNative.StringValue* value)
    {
        var bytes = value->Length <= 12 ? &value->Inlined : value->Pointer;
        return Encoding.UTF8.GetString(bytes, checked((int)value->Length));
    }

    private static Array List(nint vector, DuckDbNative.ListEntry entry, string column)
    {
        var child = DuckDbNative.duckdb_list_vector_get_child(vector);
        var type = DuckDbNative.duckdb_vector_get_column_type(child);
        var id = DuckDbNative.duckdb_get_type_id(type);
        DuckDbNative.duckdb_destroy_logical_type(ref type);
        var count = checked((int)entry.Length);
        var whole = DuckDbNative.duckdb_vector_get_validity(child) == null;
        if (whole && id is DuckDbTypeId.BigInt or DuckDbTypeId.Double)
        {
            var source = (long*)DuckDbNative.duckdb_vector_get_data(child) + entry.Offset;
            Array numbers = id == DuckDbTypeId.BigInt ? new long[count] : new double[count];
            new ReadOnlySpan<byte>(source, count * sizeof(long)).CopyTo(
                MemoryMarshal.CreateSpan(ref MemoryMarshal.GetArrayDataReference(numbers), count * sizeof(long))
            );
            return numbers;
        }
        var items = new object?[count];
        for (var i = 0; i < count; i++)
        {
            items[i] = Read(child, entry.Offset + (ulong)i, column);
        }
        return Narrow(items);
    }

    /// <summary>An array of the element type where every element has the same one, so that callers may cast.</summary>
    private static Array Narrow(object?[] items)
    {
        if (items.Length > 0 && items.All(x => x is long))
        {
            return items.Select(x => (long)x!).ToArray();
        }
        return items.Length > 0 && items.All(x => x is double) ? items.Select(x => (double)x!).ToArray() : items;
    }

    private static Dictionary<string, object?> Struct(nint vector, ulong row, nint type, string column)
    {
        var count = DuckDbNative.duckdb_struct_type_child_count(type);
        var fields = new Dictionary<string, object?>(checked((int)count), StringComparer.Ordinal);
        for (ulong i = 0; i < count; i++)
        {
            var name = DuckDbNative.duckdb_struct_type_child_name(type, i);
            var key = Marshal.PtrToStringUTF8((nint)name)!;
            DuckDbNative.duckdb_free(name);
            fields[key] = Read(DuckDbNative.duckdb_struct_vector_get_child(vector, i), row, $"{column}.{key}");
        }
        return fields;
    }
}
