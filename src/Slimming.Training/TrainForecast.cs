using System.Diagnostics.CodeAnalysis;

namespace Slimming.Training;

/// <summary>What a run would take: its summary, and time as far as it was measured.</summary>
public sealed record TrainForecast : TrainSummary
{
    [SetsRequiredMembers]
    internal TrainForecast(TrainSummary summary)
        : base(summary) { }

    /// <summary>Tokens of a step, the mean over the steps looked at; null where nothing was measured.</summary>
    public double? TokensPerStep { get; init; }

    /// <summary>Of steps, as <c>metrics.jsonl</c> counts it.</summary>
    public double? TokensPerS { get; init; }

    /// <summary>Of the whole run: steps and evaluations, without opening files, checkpoints and an early stop.</summary>
    public double? Seconds { get; init; }

    /// <summary>What the times come from.</summary>
    public Calibration? Calibration { get; init; }

    /// <summary>Why nothing was measured; null where it was.</summary>
    public string? NotCalibrated { get; init; }

    /// <summary>Bytes that this process can have at the moment.</summary>
    public required long AvailableBytes { get; init; }

    /// <summary>Why <c>train</c> would be refused for want of memory, and what would fit; null: it would not.</summary>
    public string? Refused { get; init; }

    /// <summary>What fits <c>--memory</c>; null without it.</summary>
    public LargestFit? Largest { get; init; }
}

/// <summary>Times of a few micro-batches of the run's own samples.</summary>
/// <param name="MicroBatches">Forward and backward, the first one (which touches all memory) left out.</param>
/// <param name="Tokens">Of those.</param>
/// <param name="Seconds">Of those.</param>
/// <param name="OptimizerSeconds">Of one update.</param>
/// <param name="EvalTokens">Tokens that were evaluated.</param>
/// <param name="EvalSeconds">Of those; 0 without evaluation data.</param>
/// <param name="PeakBytes">Largest resident set of this process so far, which has opened and done all that a step needs.</param>
public sealed record Calibration(
    int MicroBatches,
    long Tokens,
    double Seconds,
    double OptimizerSeconds,
    long EvalTokens,
    double EvalSeconds,
    long PeakBytes
);

/// <summary>The largest sizes that fit <c>--memory</c>. A batch of more micro-batches takes time but no memory.</summary>
/// <param name="MicroBatchTokens">With samples as long as the longest.</param>
/// <param name="Length">Tokens of a sample, with the micro-batch in use; at most the model's context.</param>
public sealed record LargestFit(int MicroBatchTokens, int Length);
