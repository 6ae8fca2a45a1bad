namespace Slimming.Evaluation.Comparing;

/// <summary>How differences are judged.</summary>
public sealed record ComparisonOptions
{
    /// <summary>Chance of a false finding; intervals are at 1 - alpha.</summary>
    public double Alpha { get; init; } = 0.05;

    /// <summary>Largest difference that counts as none: share of items, or nats (bits) of a perplexity.</summary>
    public double Margin { get; init; } = 0.02;

    /// <summary>Power of the smallest detectable difference.</summary>
    public double Power { get; init; } = 0.8;

    public int Resamples { get; init; } = 10_000;
    public int Seed { get; init; } = 42;

    public double Level => 1 - Alpha;
}
