namespace Slimming.Results;

/// <summary>One metric of one task over N items.</summary>
/// <remarks>
/// Stderr is null where the metric has none (n of 1, for instance); the interval is the 95 % one.
/// </remarks>
public sealed record MetricRow(
    string Task,
    string TaskVersion,
    string Metric,
    double Value,
    long N,
    double? Stderr,
    double? IntervalLow,
    double? IntervalHigh,
    string Engine,
    string Machine,
    string Commit
)
{
    /// <summary>Items whose input did not fit the context and lost its oldest tokens.</summary>
    public long Truncated { get; init; }

    /// <summary>Tasks that <see cref="Task"/> is a group of; 0 for a task by itself.</summary>
    public long Members { get; init; }
}
