using System.Text.Json.Serialization;
using Slimming.Interop;
using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>One step, as <c>metrics.jsonl</c> stores it.</summary>
/// <param name="Step">From 1.</param>
/// <param name="Epoch">Passes over the data done after the step.</param>
/// <param name="Loss">
/// Mean cross entropy over the step's targets in nats, before the update; null where none of its rows had a sample
/// and in a skipped step.
/// </param>
/// <param name="Lr">Learning rate used in the step.</param>
/// <param name="GradNorm">L2 over all trainables before clipping.</param>
/// <param name="Tokens">Tokens computed.</param>
/// <param name="TargetTokens">Tokens with loss.</param>
/// <param name="TokensPerS">Tokens by seconds.</param>
/// <param name="Seconds">Wall time of the step.</param>
public sealed record StepRow(
    int Step,
    double Epoch,
    double? Loss,
    double Lr,
    double GradNorm,
    long Tokens,
    long TargetTokens,
    double TokensPerS,
    double Seconds
)
{
    /// <summary>Its loss or gradient was not finite, so nothing was applied; in the file only where true.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Skipped { get; init; }
}

/// <summary>One evaluation, as <c>metrics.jsonl</c> stores it.</summary>
/// <param name="Step">Steps done before it.</param>
/// <param name="Epoch">Passes over the data done before it.</param>
/// <param name="EvalLoss">Mean cross entropy over all targets of the evaluation data, in nats.</param>
/// <param name="Tokens">Tokens computed.</param>
/// <param name="TargetTokens">Tokens with loss.</param>
/// <param name="TokensPerS">Tokens by seconds.</param>
/// <param name="Seconds">Wall time.</param>
public sealed record EvalRow(
    int Step,
    double Epoch,
    double EvalLoss,
    long Tokens,
    long TargetTokens,
    double TokensPerS,
    double Seconds
);

/// <summary>What is known before the first step.</summary>
/// <param name="Setup">Model, data and plan.</param>
/// <param name="FirstStep">Steps that a resumed run has behind it.</param>
public sealed record TrainStarted(TrainSummary Setup, int FirstStep);

/// <summary>The resolved run in numbers.</summary>
public record TrainSummary
{
    public required string Model { get; init; }
    public required string Architecture { get; init; }
    public required string Method { get; init; }
    public required string Compute { get; init; }
    public required string Isa { get; init; }
    public required int Threads { get; init; }
    public required int TotalSteps { get; init; }

    /// <summary>Whether rows are read as they are needed, because there are many.</summary>
    public bool Streamed { get; init; }

    /// <summary>Tokens; of rows that are streamed the most that a sample can have.</summary>
    public required int LongestSample { get; init; }
    public required int MicroBatchTokens { get; init; }
    public required int TrainableTensors { get; init; }
    public required long TrainableValues { get; init; }
    public required Plan Plan { get; init; }

    /// <summary>Bytes of the whole process: mapped weights, planned blocks, allowance for the program itself.</summary>
    public required long NeededBytes { get; init; }
}

/// <summary>How a run ended.</summary>
/// <param name="Out">Its folder.</param>
/// <param name="Steps">Steps done.</param>
/// <param name="Loss">Of the last step; null when there was none to do.</param>
/// <param name="EvalLoss">Of the last evaluation.</param>
/// <param name="BestEvalLoss">The lowest.</param>
/// <param name="BestStep">Where it was measured.</param>
/// <param name="StoppedEarly">Whether <c>--patience</c> ended the run.</param>
/// <param name="Output">The adapter or model file.</param>
/// <param name="Counts">What became of the rows of <c>--data</c>.</param>
public sealed record TrainResult(
    string Out,
    int Steps,
    double? Loss,
    double? EvalLoss,
    double? BestEvalLoss,
    int? BestStep,
    bool StoppedEarly,
    string Output,
    DataCounts Counts
)
{
    /// <summary>Steps that applied nothing because a loss or gradient was not finite.</summary>
    public int SkippedSteps { get; init; }

    /// <summary>Time and bytes by phase; null without <c>--profile</c>.</summary>
    public IReadOnlyList<ProfileRow>? Profile { get; init; }
}

/// <summary>Where a run reports to: a terminal, a test, a window. Implement what you want to hear.</summary>
public interface ITrainSink
{
    /// <summary>A line worth reading before step 1, e.g. the counts of the data.</summary>
    void Note(string text) { }
    void Warning(string text) { }
    void Started(TrainStarted started) { }
    void Stepped(StepRow row) { }
    void Evaluated(EvalRow row) { }
    void CheckpointWritten(string path) { }
    void Finished(TrainResult result) { }
}
