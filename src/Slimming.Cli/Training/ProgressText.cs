using System.Diagnostics;
using System.Globalization;
using Slimming.Training;

namespace Slimming.Cli.Training;

/// <summary>Words and numbers of progress, the same in lines and in the live display.</summary>
internal sealed class ProgressText
{
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private int _first;

    public int Total { get; private set; }

    public string Start(TrainStarted started)
    {
        var setup = started.Setup;
        Total = setup.TotalSteps;
        _first = started.FirstStep;
        _clock.Restart();
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{setup.Method} on {setup.Architecture}: {setup.TrainableValues:N0} trainable values in {setup.TrainableTensors} tensors, {setup.TotalSteps} steps, {setup.Compute} {setup.Isa} on {setup.Threads} threads, planned memory {ByteSize.Format(setup.NeededBytes)}"
        );
    }

    public string Step(StepRow row) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"step {row.Step}/{Total}  loss {Loss(row)}  lr {row.Lr:0.00e+0}  grad {row.GradNorm:0.000}  {row.TokensPerS:0} tokens/s  left {Left(row.Step)}  memory {ByteSize.Format(ProcessMemory.PeakBytes)}"
        );

    /// <summary>The same, short enough to stand beside a bar in 80 columns.</summary>
    public string Bar(StepRow row) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{row.Step}/{Total} loss {Loss(row)} {row.TokensPerS:0} tokens/s {Left(row.Step)} {ByteSize.Format(ProcessMemory.PeakBytes)}"
        );

    /// <summary>"none" where no row of the step had a sample.</summary>
    private static string Loss(StepRow row) =>
        row.Skipped ? "skipped" : row.Loss?.ToString("0.0000", CultureInfo.InvariantCulture) ?? "none";

    public static string Evaluation(EvalRow row) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"eval at step {row.Step}  loss {row.EvalLoss:0.0000}  ({row.TargetTokens} targets)"
        );

    public string Finish(TrainResult result)
    {
        var best = result.BestEvalLoss is { } loss
            ? string.Create(CultureInfo.InvariantCulture, $", best eval loss {loss:0.0000} at step {result.BestStep}")
            : "";
        var early = result.StoppedEarly ? " (stopped early)" : "";
        var skipped = result.SkippedSteps > 0 ? $", {result.SkippedSteps} of them skipped" : "";
        return $"done after {result.Steps} steps{skipped}{early} in {Time(_clock.Elapsed)}{best}, peak memory {ByteSize.Format(ProcessMemory.PeakBytes)}";
    }

    private string Left(int step)
    {
        var done = step - _first;
        return done <= 0 ? "?" : Time(_clock.Elapsed / done * (Total - step));
    }

    public static string Time(TimeSpan time) =>
        time.TotalHours >= 1 ? $"{(int)time.TotalHours}h{time.Minutes:00}m" : $"{time.Minutes}m{time.Seconds:00}s";
}
