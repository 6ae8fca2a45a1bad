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
    /// <summary>Paths or globs, read in this order.</summary>
    public required IReadOnlyList<string> Files { get; init; }

    /// <summary>auto, alpaca, chatml, or the path of a Jinja file.</summary>
    public string Template { get; init; } = "auto";

    /// <summary>Most tokens of a sample.</summary>
    public int MaxLength { get; init; } = 1024;
    public Overlong Overlong { get; init; } = Overlong.Truncate;
    public LossOn LossOn { get; init; } = LossOn.Answer;

    /// <summary>The day that templates with strftime_now print; today where null.</summary>
    public DateOnly? Date { get; init; }
}
