namespace Slimming.Training.Data;

/// <summary>From how many rows on they are read as they are needed, and how many of them are at hand then.</summary>
/// <remarks>Other values than these are for tests: they change which rows a step takes.</remarks>
internal sealed record StreamLimits
{
    /// <summary>So many rows, after <c>--where</c> and <c>--sample</c>, are still tokenized before the first step.</summary>
    public const int MostHeldRows = 50_000;

    public int HeldRows { get; init; } = MostHeldRows;

    /// <summary>Rows of a block, in file order.</summary>
    public int BlockRows { get; init; } = 1024;

    /// <summary>Blocks whose rows are shuffled with each other.</summary>
    public int WindowBlocks { get; init; } = 8;

    /// <summary>Rows that the counts before the first step are estimated from.</summary>
    public int LookedAtRows { get; init; } = 1024;
}
