using System.Diagnostics;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>
/// The steps of one run. A step accumulates batch-size x accumulation samples; loss and gradient are divided once, by
/// the target count of that whole window.
/// </summary>
internal sealed class TrainLoop(
    TrainOptions options,
    TrainData data,
    NativeContext context,
    int fillTokens,
    RunFolder folder,
    MetricsFile metrics,
    Action<string> writeBest,
    Action<string>? writeIntoCheckpoint,
    TrainWatch watch,
    ITrainSink sink
)
{
    /// <summary>Batches of skipped steps that are kept and told; the rest is only counted.</summary>
    private const int KeptBatches = 10;

    private readonly Schedule _schedule = new(
        options.Schedule,
        options.LearningRate,
        options.WarmupSteps,
        data.Train.TotalSteps
    );
    private int _savedStep = -1;

    public double? LastLoss { get; private set; }

    public double? LastEvalLoss { get; private set; }

    public bool StoppedEarly { get; private set; }

    /// <summary>Runs to the end, from a fresh or a resumed state.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; a checkpoint of the last whole step is written.</exception>
    public TrainState Run(TrainState state, bool resumed, CancellationToken token)
    {
        _savedStep = resumed ? state.Step : -1;
        data.Train.Taken = state.Taken;
        while (true)
        {
            try
            {
                state = EvaluateIfDue(state, token);
                StoppedEarly = options.Patience > 0 && state.EvalsWithoutGain >= options.Patience;
                if (state.Step == data.Train.TotalSteps || StoppedEarly)
                {
                    RequireFinite(state.Step);
                    return state;
                }
                token.ThrowIfCancellationRequested();
            }
            catch (OperationCanceledException)
            {
                Save(state);
                throw;
            }
            if (state.Step > 0 && options.CheckpointEvery > 0 && state.Step % options.CheckpointEvery == 0)
            {
                Save(state);
            }
            state = Step(state);
        }
    }

    private TrainState Step(TrainState state)
    {
        var clock = Stopwatch.StartNew();
        var stepsInEpoch = data.Train.StepsIn(state.Epoch);
        var takenBefore = data.Train.Taken;
        var samples = data.Train.Samples(state.Epoch, state.StepInEpoch);
        var number = state.Step + 1;
        var lr = _schedule.At(state.Step);
        var sums = default(Sums);
        double gradNorm = 0;
        var skipped = false;
        // Rows without a sample make a step smaller; one of such rows alone moves nothing.
        if (samples.Count > 0)
        {
            try
            {
                sums = Sum(samples, context.Accumulate, number);
                var applied = number - state.Skipped;
                gradNorm = Guard(number, () => context.Step(Parameters(applied, sums.Targets, lr))).GradNorm;
            }
            catch (NonFiniteException exception)
            {
                LeaveOut(state with { Taken = takenBefore }, samples, exception);
                (sums, skipped) = (default, true);
            }
        }
        var done = state.StepInEpoch + 1;
        var (epoch, inEpoch) = done == stepsInEpoch ? (state.Epoch + 1, 0) : (state.Epoch, done);
        var seconds = clock.Elapsed.TotalSeconds;
        StepRow row = new(
            number,
            state.Epoch + (double)done / stepsInEpoch,
            sums.Targets > 0 ? sums.Loss / sums.Targets : null,
            lr,
            gradNorm,
            sums.Tokens,
            sums.Targets,
            sums.Tokens / seconds,
            seconds
        )
        {
            Skipped = skipped,
        };
        metrics.Add(row);
        sink.Stepped(row);
        watch.Stepped(row);
        LastLoss = row.Loss ?? LastLoss;
        return state with
        {
            Step = number,
            Skipped = state.Skipped + (skipped ? 1 : 0),
            Epoch = epoch,
            StepInEpoch = inEpoch,
            TokensSeen = state.TokensSeen + sums.Tokens,
            TargetsSeen = state.TargetsSeen + sums.Targets,
        };
    }

    private TrainState EvaluateIfDue(TrainState state, CancellationToken token)
    {
        var step = state.Step;
        var due =
            step == 0 || step == data.Train.TotalSteps || (options.EvalEvery > 0 && step % options.EvalEvery == 0);
        if (data.Eval is not { } eval || !due || state.LastEvalStep == step)
        {
            return state;
        }
        var clock = Stopwatch.StartNew();
        Sums sums;
        try
        {
            sums = Sum(eval.Samples(), context.Evaluate, step, token);
        }
        catch (NonFiniteException exception)
        {
            throw Diverged(step, $"evaluation: {exception.Message}", exception);
        }
        var seconds = clock.Elapsed.TotalSeconds;
        var epoch =
            state.StepInEpoch == 0
                ? state.Epoch
                : state.Epoch + (double)state.StepInEpoch / data.Train.StepsIn(state.Epoch);
        EvalRow row = new(
            step,
            epoch,
            sums.Loss / sums.Targets,
            sums.Tokens,
            sums.Targets,
            sums.Tokens / seconds,
            seconds
        );
        var gained = state.BestEvalLoss is not { } best || row.EvalLoss < best;
        if (gained)
        {
            RequireFinite(step);
            writeBest(folder.BestOutput(options));
        }
        metrics.Add(row);
        sink.Evaluated(row);
        LastEvalLoss = row.EvalLoss;
        return state with
        {
            LastEvalStep = step,
            BestEvalLoss = gained ? row.EvalLoss : state.BestEvalLoss,
            BestStep = gained ? step : state.BestStep,
            EvalsWithoutGain = gained ? 0 : state.EvalsWithoutGain + 1,
        };
    }

    private void Save(TrainState state) => Save(state with { Taken = data.Train.Taken }, options.Keep);

    private void Save(TrainState state, int keep)
    {
        if (state.Step == _savedStep)
        {
            return;
        }
        RequireFinite(state.Step);
        TrainBlocks blocks = new(
            context.Block(NativeBlock.Parameters),
            context.Block(NativeBlock.Moment1),
            context.Block(NativeBlock.Moment2)
        );
        state = state with { MetricsBytes = metrics.Sync() };
        sink.CheckpointWritten(folder.Checkpoints.Write(state, blocks, keep, writeIntoCheckpoint));
        _savedStep = state.Step;
    }

    private delegate void Pass(Batch batch, Span<double> losses, Span<long> targets);

    /// <summary>Over all samples of a pass.</summary>
    private readonly record struct Sums(double Loss, long Targets, long Tokens);

    /// <summary>Runs samples in micro-batches; sums are taken sample by sample, so the split changes no bit.</summary>
    private Sums Sum(IEnumerable<KeyedSample> samples, Pass pass, int step, CancellationToken token = default)
    {
        double loss = 0;
        long targets = 0;
        long tokens = 0;
        foreach (var batch in BatchPlanner.Plan(samples, fillTokens))
        {
            token.ThrowIfCancellationRequested();
            var losses = new double[batch.SequenceCount];
            var counts = new long[batch.SequenceCount];
            Guard(
                step,
                () =>
                {
                    pass(batch, losses, counts);
                    return true;
                }
            );
            foreach (var value in losses)
            {
                loss += value;
            }
            targets += counts.Sum();
            tokens += batch.Tokens.Length;
        }
        return double.IsFinite(loss) && targets > 0
            ? new Sums(loss, targets, tokens)
            : throw new NonFiniteException($"the loss is {loss} over {targets} targets");
    }

    private StepParams Parameters(int step, long targets, double lr) =>
        new()
        {
            Step = step,
            TargetCount = targets,
            LearningRate = lr,
            Beta1 = options.AdamBeta1,
            Beta2 = options.AdamBeta2,
            Epsilon = options.AdamEpsilon,
            WeightDecay = options.WeightDecay,
            MaxGradNorm = options.MaxGradNorm,
            DecayNorms = options.DecayNorms,
        };

    private T Guard<T>(int step, Func<T> call)
    {
        try
        {
            return call();
        }
        catch (SlimmingException exception) when (exception is { Code: ExitCode.Failed } and not NonFiniteException)
        {
            throw Stopped(step, exception.Message, exception);
        }
    }

    /// <summary>Keeps the batch of a step that cannot be applied, and ends the run where it may not go on without it.</summary>
    /// <exception cref="SlimmingException">Exit code 1; a checkpoint of the steps before it is written.</exception>
    private void LeaveOut(TrainState state, IReadOnlyList<KeyedSample> samples, NonFiniteException exception)
    {
        var step = state.Step + 1;
        var path = folder.NonFiniteBatch(step);
        context.Block(NativeBlock.Gradients).Clear();
        if (state.Skipped < KeptBatches)
        {
            BatchFile.Write(path, samples);
        }
        // Values that are broken already would spoil every later step too.
        var broken = NotFinite();
        if (broken is not null || options.OnNonfinite != "skip")
        {
            if (broken is null)
            {
                // What was kept before stays: the newest state may be on its way to where this step ended.
                Save(state, options.Keep + 1);
            }
            var why = broken is null ? "" : $"; {broken} are not finite";
            var replay = state.Skipped < KeptBatches ? $"; see train --replay-batch {path}" : "";
            throw Diverged(step, exception.Message + why + replay, exception);
        }
        if (state.Skipped < KeptBatches)
        {
            var last = state.Skipped + 1 == KeptBatches ? "; more of them are only counted" : "";
            sink.Warning($"step {step} is skipped: {exception.Message}; see train --replay-batch {path}{last}");
        }
    }

    /// <summary>Which values are not finite; null: all are.</summary>
    private string? NotFinite() =>
        !Finite.All(context.Block(NativeBlock.Parameters)) ? "the trained values"
        : !Finite.All(context.Block(NativeBlock.Moment1)) || !Finite.All(context.Block(NativeBlock.Moment2))
            ? "AdamW's moments"
        : null;

    /// <summary>Nothing that is not finite is written as a checkpoint or a result.</summary>
    private void RequireFinite(int step)
    {
        if (NotFinite() is { } block)
        {
            throw Diverged(step, $"{block} are not finite", null);
        }
    }

    private SlimmingException Diverged(int step, string reason, Exception? inner) =>
        Stopped(step, reason, inner, ". A lower --learning-rate or more --warmup-steps may help");

    private SlimmingException Stopped(int step, string reason, Exception? inner, string hint = "")
    {
        var kept = folder.Checkpoints.Steps is [var newest, ..]
            ? $"the checkpoint {folder.Checkpoints.PathOf(newest)} is kept"
            : "there is no checkpoint yet";
        return new SlimmingException(ExitCode.Failed, $"step {step}: {reason}; {kept}{hint}", inner);
    }
}
