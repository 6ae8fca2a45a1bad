using System.Runtime.InteropServices;

namespace Slimming.Results.Interop;

internal sealed class DatabaseHandle : SafeHandle
{
    public DatabaseHandle(nint database)
        : base(0, ownsHandle: true) => SetHandle(database);

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        DuckDbNative.duckdb_close(ref handle);
        return true;
    }
}

/// <summary>A connection; it keeps its database open in any order of disposal.</summary>
internal sealed class ConnectionHandle : SafeHandle
{
    private readonly DatabaseHandle _database;

    public ConnectionHandle(nint connection, DatabaseHandle database)
        : base(0, ownsHandle: true)
    {
        var added = false;
        database.DangerousAddRef(ref added);
        _database = database;
        SetHandle(connection);
    }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        DuckDbNative.duckdb_disconnect(ref handle);
        _database.DangerousRelease();
        return true;
    }
}

/// <summary>A prepared statement; it keeps its connection open.</summary>
internal sealed class StatementHandle : SafeHandle
{
    private readonly ConnectionHandle _connection;

    public StatementHandle(nint statement, ConnectionHandle connection)
        : base(0, ownsHandle: true)
    {
        var added = false;
        connection.DangerousAddRef(ref added);
        _connection = connection;
        SetHandle(statement);
    }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        DuckDbNative.duckdb_destroy_prepare(ref handle);
        _connection.DangerousRelease();
        return true;
    }
}
