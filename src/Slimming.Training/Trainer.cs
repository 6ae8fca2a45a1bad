using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;
using Slimming.Shared;
using Slimming.Training.Data;
using Slimming.Training.Export;

namespace Slimming.Training;

/// <summary>Runs one training from resolved options to a finished run folder.</summary>
public static class Trainer
{
    /// <param name="options">What to train; checked before any file is opened.</param>
    /// <param name="sink">Told what happens as it happens; null for nobody.</param>
    /// <param name="token">Ends the run after the step at hand.</param>
    /// <exception cref="SlimmingException">What cannot be done, with its exit code.</exception>
    /// <exception cref="OperationCanceledException">Cancelled after a whole step; a checkpoint is written.</exception>
    public static TrainResult Run(TrainOptions options, ITrainSink? sink = null, CancellationToken token = default)
    {
        TrainOptionsCheck.Check(options);
        sink ??= new SilentSink();
        using var folder = RunFolder.Claim(options);
        var begun = folder.Resuming ? RunRecord.Read(folder.Path) : null;
        using var setup = TrainSetup.Open(options, begun?.TemplateDate, sink, mustFit: true);
        var record = setup.Record();
        begun?.RefuseChanges(record, sink.Warning);
        WeightCheck.RequireFinite(setup.Model.File, record.Resolved.Threads, token);
        token.ThrowIfCancellationRequested();
        FreeMemory.GiveBack();
        using NativeContext context = new(setup.Model.Native, setup.Adapter, setup.Context);
        folder.Begin();
        if (begun is null)
        {
            record.Write(folder.Record);
        }
        else if (folder.IsDone)
        {
            var result = Finished(folder, setup, begun);
            sink.Note($"{options.Out} is complete: nothing to resume");
            sink.Finished(result);
            return result;
        }
        return Train(setup, context, folder, begun ?? record, sink, token);
    }

    /// <summary>What <see cref="Run"/> would do and need, without doing it or writing anything.</summary>
    public static TrainSummary Plan(TrainOptions options, ITrainSink? sink = null)
    {
        TrainOptionsCheck.Check(options);
        using var setup = TrainSetup.Open(options, null, sink ?? new SilentSink(), mustFit: false);
        return setup.Summary;
    }

    /// <summary>The same with the time it would take, from a few micro-batches that are really computed.</summary>
    /// <param name="options">Of the run.</param>
    /// <param name="calibrate">False: nothing is computed, and times are left out.</param>
    /// <param name="sink">Told what is found in the data.</param>
    /// <param name="token">Ends it after the micro-batch at hand.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static TrainForecast Forecast(
        TrainOptions options,
        bool calibrate = true,
        ITrainSink? sink = null,
        CancellationToken token = default
    )
    {
        TrainOptionsCheck.Check(options);
        using var setup = TrainSetup.Open(options, null, sink ?? new SilentSink(), mustFit: false);
        var forecast = setup.Forecast;
        if (!calibrate)
        {
            return forecast with { NotCalibrated = "not asked for" };
        }
        if (forecast.Refused is { } reason)
        {
            return forecast with { NotCalibrated = reason };
        }
        using NativeContext context = new(setup.Model.Native, setup.Adapter, setup.Context);
        return new Calibrator(setup, context).Measure(forecast, token);
    }

    private static TrainResult Train(
        TrainSetup setup,
        NativeContext context,
        RunFolder folder,
        RunRecord record,
        ITrainSink sink,
        CancellationToken token
    )
    {
        var options = setup.Options;
        var state = ReadCheckpoint(folder, context, setup.Data.Train, sink);
        var profile = options.Profile ? new RunProfile(sink, context) : null;
        sink = profile ?? sink;
        using MetricsFile metrics = new(folder.Metrics, state?.MetricsBytes ?? 0);
        TrainLoop loop = new(
            options,
            setup.Data,
            context,
            setup.Plan.FillTokens,
            folder,
            metrics,
            path => WriteOutput(path, setup),
            options.IsFull ? null : path => WriteOutput(Path.Combine(path, "adapter.gguf"), setup),
            new TrainWatch(setup.Adapter, sink),
            sink
        );
        sink.Started(new TrainStarted(setup.Summary, state?.Step ?? 0));
        TrainState end;
        try
        {
            end = loop.Run(state ?? new TrainState { Seed = options.Seed }, resumed: state is not null, token);
        }
        catch (OperationCanceledException)
        {
            profile?.Write(folder.Profile);
            throw;
        }
        profile?.Write(folder.Profile);
        metrics.Sync();
        WriteOutput(folder.Output(options), setup);
        WriteExactCounts(setup, record, folder, sink);
        folder.MarkDone();
        TrainResult result = new(
            options.Out,
            end.Step,
            loop.LastLoss,
            loop.LastEvalLoss,
            end.BestEvalLoss,
            end.BestStep >= 0 ? end.BestStep : null,
            loop.StoppedEarly,
            folder.Output(options),
            setup.Data.Train.Counts
        )
        {
            SkippedSteps = end.Skipped,
            Profile = profile?.Rows,
        };
        sink.Finished(result);
        return result;
    }

    /// <summary>Puts what became of the rows in place of what was estimated before step 1.</summary>
    private static void WriteExactCounts(TrainSetup setup, RunRecord record, RunFolder folder, ITrainSink sink)
    {
        var (train, eval) = (setup.Data.Train.Counts, setup.Data.Eval?.Counts);
        if (setup.TrainSet.IsStreamed)
        {
            sink.Note($"data: {DataNotes.Counts(train, setup.TrainSet.TemplateName)}");
        }
        if ((setup.EvalSet ?? setup.TrainSet).IsStreamed && eval is not null)
        {
            sink.Note($"eval data: {DataNotes.Counts(eval, (setup.EvalSet ?? setup.TrainSet).TemplateName)}");
        }
        if (setup.TrainSet.IsStreamed || setup.EvalSet is { IsStreamed: true })
        {
            (record with { Counts = TrainSetup.Counts(train, eval) }).Write(folder.Record);
        }
    }

    /// <summary>The result of a run that was complete before, from its rows.</summary>
    private static TrainResult Finished(RunFolder folder, TrainSetup setup, RunRecord record)
    {
        var rows = MetricsFile.Read(folder.Metrics).ToList();
        var steps = rows.Where(row => row.EvalLoss is null).ToList();
        var evals = rows.Where(row => row.EvalLoss is not null).ToList();
        var best = evals.Count == 0 ? null : evals.MinBy(row => row.EvalLoss);
        return new TrainResult(
            setup.Options.Out,
            steps.Count == 0 ? 0 : steps[^1].Step,
            steps.FindLast(row => row.Loss is not null)?.Loss,
            evals.Count == 0 ? null : evals[^1].EvalLoss,
            best?.EvalLoss,
            best?.Step,
            steps.Count > 0 && steps[^1].Step < setup.Data.Train.TotalSteps,
            folder.Output(setup.Options),
            record.ReadTrainCounts(folder.Path)
        )
        {
            SkippedSteps = steps.Count(row => row.Skipped),
        };
    }

    private static TrainState? ReadCheckpoint(
        RunFolder folder,
        NativeContext context,
        ITrainSteps steps,
        ITrainSink sink
    )
    {
        if (!folder.Resuming)
        {
            return null;
        }
        TrainBlocks blocks = new(
            context.Block(NativeBlock.Parameters),
            context.Block(NativeBlock.Moment1),
            context.Block(NativeBlock.Moment2)
        );
        var state = folder.Checkpoints.ReadNewest(blocks, sink.Warning);
        if (state is not null)
        {
            RequirePlace(state, steps, folder.Checkpoints.PathOf(state.Step));
        }
        sink.Note(state is null ? "no checkpoint yet: starting at step 0" : $"resuming at step {state.Step}");
        return state;
    }

    /// <exception cref="SlimmingException">Exit code 1: the data have no such step.</exception>
    private static void RequirePlace(TrainState state, ITrainSteps steps, string checkpoint)
    {
        var isWithin =
            state.Step <= steps.TotalSteps
            && state.Epoch >= 0
            && state.Epoch <= state.Step
            && state.StepInEpoch >= 0
            && state.StepInEpoch < steps.StepsIn(state.Epoch);
        if (!isWithin)
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{checkpoint}: state.json: found step {state.Step} of {steps.TotalSteps} as step {state.StepInEpoch} of epoch "
                    + $"{state.Epoch}; expected a step that the data have; start again with --force"
            );
        }
    }

    private sealed class SilentSink : ITrainSink;

    private static void WriteOutput(string path, TrainSetup setup)
    {
        if (setup.Options.IsFull)
        {
            ModelFile.Write(path, setup.Model, setup.Adapter, overwrite: true, setup.CarriedTemplate);
        }
        else
        {
            AdapterFile.Write(
                path,
                setup.Model,
                setup.Adapter,
                overwrite: true,
                setup.TrainSet.TemplateSha256,
                setup.CarriedTemplate
            );
        }
    }
}
