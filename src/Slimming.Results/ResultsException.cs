namespace Slimming.Results;

/// <summary>What kind of trouble a <see cref="ResultsException"/> reports; callers map it to an exit code.</summary>
public enum ResultsFault
{
    /// <summary>The work failed: unreadable or unwritable file, NaN, a query that DuckDB refuses.</summary>
    Failed,

    /// <summary>The given path or value cannot be used.</summary>
    Usage,

    /// <summary>Something is there already that must not be overwritten.</summary>
    Refused,
}

/// <summary>An error of the results store or of DuckDB, worded for the user.</summary>
public sealed class ResultsException : Exception
{
    public ResultsException(ResultsFault fault, string message, Exception? inner = null)
        : base(message, inner) => Fault = fault;

    public ResultsFault Fault { get; }
}
