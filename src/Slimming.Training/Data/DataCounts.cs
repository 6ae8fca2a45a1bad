namespace Slimming.Training.Data;

/// <summary>What became of the rows of a data set.</summary>
public sealed record DataCounts
{
    /// <summary>Rows of the files.</summary>
    public long Rows { get; init; }

    /// <summary>Rows left out by <c>--where</c>.</summary>
    public long Filtered { get; init; }

    /// <summary>Rows that <c>--sample</c> did not draw.</summary>
    public long NotDrawn { get; init; }

    /// <summary>Rows that <c>--eval-fraction</c> keeps for the evaluation.</summary>
    public long HeldOut { get; init; }

    /// <summary>
    /// Rows looked at, where those were not all. The counts below are of them alone or, if <see cref="Estimated"/>,
    /// scaled up from them to all rows.
    /// </summary>
    public long? Examined { get; init; }
    public bool Estimated { get; init; }

    /// <summary>Samples to train on; splitting makes several of a row.</summary>
    public long Kept { get; init; }

    /// <summary>Rows cut at the maximal length (and still kept).</summary>
    public long Truncated { get; init; }

    /// <summary>Rows left out for their length.</summary>
    public long Dropped { get; init; }

    /// <summary>Rows cut into several samples.</summary>
    public long Split { get; init; }

    /// <summary>Rows left out because nothing in them is predicted.</summary>
    public long WithoutTarget { get; init; }

    /// <summary>Kept rows whose last answer does not end in an end-of-generation token.</summary>
    public long WithoutEnd { get; init; }

    /// <summary>Kept rows whose answer is an empty text.</summary>
    public long EmptyAnswer { get; init; }

    /// <summary>Tokens of the kept samples.</summary>
    public long Tokens { get; init; }

    /// <summary>Targets of the kept samples.</summary>
    public long Targets { get; init; }
}
