namespace Slimming.Gguf;

/// <summary>What the process answers when a verb ends.</summary>
public enum ExitCode
{
    Done = 0,

    /// <summary>The work failed: disk full, unwritable, non-finite.</summary>
    Failed = 1,

    /// <summary>Wrong usage or input: bad file, mismatch.</summary>
    Usage = 2,

    /// <summary>Refused: exists, locked, would not fit.</summary>
    Refused = 3,

    Cancelled = 130,
}

/// <summary>An error meant for the user: what was wrong, where, expected, found, and what to do.</summary>
public class SlimmingException : Exception
{
    public SlimmingException(ExitCode code, string message, Exception? inner = null)
        : base(message, inner) => Code = code;

    public ExitCode Code { get; }
}
