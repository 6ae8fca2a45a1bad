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
    ITrainSink sink
)
{
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
        var samples = data.Train.Samples(state.Epoch, state.StepInEpoch);
        var number = state.Step + 1;
        var lr = _schedule.At(state.Step);
        var sums = default(Sums);
        double gradNorm = 0;
        // Rows without a sample make a step smaller; one of such rows alone moves nothing.
        if (samples.Count > 0)
        {
            sums = Sum(samples, context.Accumulate, number);
            gradNorm = Guard(number, () => context.Step(Parameters(number, sums.Targets, lr))).GradNorm;
        }
        var done = state.StepInEpoch + 1;
        var (epoch, inEpoch) = done == stepsInEpoch ? (state.Epoch + 1, 0) : (state.Epoch, done);
        var seconds = clock.Elapsed.TotalSeconds;
        StepRow row = new(
            number,
            state.Epoch + (double)done / stepsInEpoch,
            samples.Count > 0 ? sums.Loss / sums.Targets : null,
            lr,
            gradNorm,
            sums.Tokens,
            sums.Targets,
            sums.Tokens / seconds,
            seconds
        );
        metrics.Add(row);
        sink.Stepped(row);
        LastLoss = row.Loss ?? LastLoss;
        return state with
        {
            Step = number,
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
        var sums = Sum(eval.Samples(), context.Evaluate, step, token);
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

    private void Save(TrainState state)
    {
        if (state.Step == _savedStep)
        {
            return;
        }
        TrainBlocks blocks = new(
            context.Block(NativeBlock.Parameters),
            context.Block(NativeBlock.Moment1),
            context.Block(NativeBlock.Moment2)
        );
        state = state with { MetricsBytes = metrics.Sync(), Taken = data.Train.Taken };
        sink.CheckpointWritten(folder.Checkpoints.Write(state, blocks, options.Keep, writeIntoCheckpoint));
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
            : throw Stopped(step, $"the loss is {loss} over {targets} targets", null);
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
        catch (SlimmingException exception) when (exception.Code == ExitCode.Failed)
        {
            throw Stopped(step, exception.Message, exception);
        }
    }

    private SlimmingException Stopped(int step, string reason, Exception? inner)
    {
        var kept = folder.Checkpoints.Steps is [var newest, ..]
            ? $"the checkpoint {folder.Checkpoints.PathOf(newest)} is kept"
            : "there is no checkpoint yet";
        return new SlimmingException(
            ExitCode.Failed,
            $"step {step}: {reason}; {kept}. A lower --learning-rate or more --warmup-steps may help",
            inner
        );
    }
}
