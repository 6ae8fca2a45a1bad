namespace Slimming.Training.Data;

/// <summary>Why a row is not learnt as it stands.</summary>
public enum RowFate
{
    /// <summary>Left out for its length.</summary>
    Dropped,

    /// <summary>Left out because nothing in it is predicted.</summary>
    WithoutTarget,

    /// <summary>Cut at the maximal length.</summary>
    Truncated,

    /// <summary>Cut into several samples.</summary>
    Split,

    /// <summary>Kept, but its answer is an empty text: only the end is learnt.</summary>
    EmptyAnswer,

    /// <summary>Kept, but its last answer does not end in an end-of-generation token.</summary>
    WithoutEnd,
}

/// <summary>What happens to one row, and why.</summary>
/// <param name="Fate">What happens.</param>
/// <param name="Source">Its file.</param>
/// <param name="Row">Its row there, from 0.</param>
/// <param name="Why">With the numbers that decide it.</param>
public sealed record RowRemark(RowFate Fate, string Source, long Row, string Why);
