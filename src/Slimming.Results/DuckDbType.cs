using Slimming.Results.Interop;

namespace Slimming.Results;

/// <summary>A column type that the appender writes.</summary>
public sealed class DuckDbType
{
    private DuckDbType(DuckDbTypeId id, string sql, DuckDbType? child = null) => (Id, Sql, Child) = (id, sql, child);

    public static DuckDbType Boolean { get; } = new(DuckDbTypeId.Boolean, "BOOLEAN");
    public static DuckDbType BigInt { get; } = new(DuckDbTypeId.BigInt, "BIGINT");
    public static DuckDbType Double { get; } = new(DuckDbTypeId.Double, "DOUBLE");
    public static DuckDbType Varchar { get; } = new(DuckDbTypeId.Varchar, "VARCHAR");

    /// <summary>The type's name in SQL, for CREATE TABLE.</summary>
    public string Sql { get; }

    internal DuckDbTypeId Id { get; }

    internal DuckDbType? Child { get; }

    public static DuckDbType ListOf(DuckDbType child)
    {
        ArgumentNullException.ThrowIfNull(child);
        return new(DuckDbTypeId.List, child.Sql + "[]", child);
    }

    /// <summary>A new duckdb_logical_type; the caller destroys it.</summary>
    internal nint CreateNative()
    {
        if (Child is null)
        {
            return DuckDbNative.duckdb_create_logical_type(Id);
        }
        var child = Child.CreateNative();
        var list = DuckDbNative.duckdb_create_list_type(child);
        DuckDbNative.duckdb_destroy_logical_type(ref child);
        return list;
    }
}
