namespace Slimming.Training.Data;

/// <summary>What happens to a sample of more than <see cref="DataOptions.MaxLength"/> tokens.</summary>
public enum Overlong
{
    /// <summary>Its first tokens are kept.</summary>
    Truncate,

    /// <summary>It is left out.</summary>
    Drop,

    /// <summary>It becomes several samples; every target is kept.</summary>
    Split,
}

/// <summary>Which tokens are predicted.</summary>
public enum LossOn
{
    /// <summary>Answers with their end-of-turn tokens.</summary>
    Answer,

    /// <summary>Every token but the first.</summary>
    All,
}

/// <summary>How data files become samples.</summary>
public sealed record DataOptions
{
    /// <summary>Paths or globs, read in this order; with ":weight" behind each they are mixed.</summary>
    public required IReadOnlyList<string> Files { get; init; }

    /// <summary>An SQL condition on the columns; rows that do not meet it are left out. Null: none are.</summary>
    public string? Where { get; init; }

    /// <summary>Rows drawn at random of those that meet the condition; null: all.</summary>
    public int? Sample { get; init; }

    /// <summary>Share of the rows kept for the evaluation, above 0 and below 1; null: none.</summary>
    public double? EvalFraction { get; init; }

    /// <summary>Of the draws above.</summary>
    public ulong Seed { get; init; } = 42;

    /// <summary>auto, alpaca, chatml, or the path of a Jinja file.</summary>
    public string Template { get; init; } = "auto";

    /// <summary>Most tokens of a sample.</summary>
    public int MaxLength { get; init; } = 1024;

    /// <summary>
    /// A longer sample is refused by row: for a <see cref="MaxLength"/> that nobody chose. Null: no such limit.
    /// </summary>
    public int? ContextLength { get; init; }
    public Overlong Overlong { get; init; } = Overlong.Truncate;
    public LossOn LossOn { get; init; } = LossOn.Answer;

    /// <summary>The day that templates with strftime_now print; today where null.</summary>
    public DateOnly? Date { get; init; }

    /// <summary>When rows are read as they are needed.</summary>
    internal StreamLimits Limits { get; init; } = new();
}
