using System.Text.Json.Serialization;

namespace Slimming.Training;

/// <summary>
/// Everything but the blocks that the next step depends on. Random draws come from a counter-based generator keyed by
/// (seed, epoch, sample), so seed and step are its whole state.
/// </summary>
public sealed record TrainState
{
    /// <summary>Steps done.</summary>
    public int Step { get; init; }

    /// <summary>0-based epoch of the next step, and the next step within it.</summary>
    public int Epoch { get; init; }
    public int StepInEpoch { get; init; }

    public int Seed { get; init; }

    /// <summary>Of the steps done those that applied nothing (<c>--on-nonfinite skip</c>); AdamW does not count them.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public int Skipped { get; init; }

    public long TokensSeen { get; init; }
    public long TargetsSeen { get; init; }

    /// <summary>Last evaluated step; -1 when there was none.</summary>
    public int LastEvalStep { get; init; } = -1;
    public double? BestEvalLoss { get; init; }
    public int BestStep { get; init; } = -1;
    public int EvalsWithoutGain { get; init; }

    /// <summary>Length of <c>metrics.jsonl</c> up to here; later rows are made again.</summary>
    public long MetricsBytes { get; init; }

    /// <summary>Counts of the rows taken so far, where they were not known before step 1.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public Data.DataCounts? Taken { get; init; }

    [JsonIgnore]
    public bool HasEvaluation => LastEvalStep >= 0;

    /// <summary>What no run writes; null where all is as it may be.</summary>
    [JsonIgnore]
    internal string? Fault =>
        Skipped < 0 || Skipped > Step ? $"skipped is {Skipped}, expected 0 to {Step}"
        : LastEvalStep < -1 || LastEvalStep > Step ? $"last_eval_step is {LastEvalStep}, expected -1 to {Step}"
        : BestStep < -1 || BestStep > Step ? $"best_step is {BestStep}, expected -1 to {Step}"
        : BestEvalLoss is { } loss && !double.IsFinite(loss) ? $"best_eval_loss is {loss}, expected a finite number"
        : MetricsBytes < 0 ? $"metrics_bytes is {MetricsBytes}, expected 0 or more"
        : TokensSeen < 0 || TargetsSeen < 0 || EvalsWithoutGain < 0 ? "a count is below 0"
        : null;
}

/// <summary>The three f32 blocks of a run, each of the same length.</summary>
public readonly ref struct TrainBlocks(Span<float> parameters, Span<float> moment1, Span<float> moment2)
{
    public Span<float> Parameters { get; } = parameters;
    public Span<float> Moment1 { get; } = moment1;
    public Span<float> Moment2 { get; } = moment2;
}
