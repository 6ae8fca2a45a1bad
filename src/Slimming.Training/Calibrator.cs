using System.Diagnostics;
using Slimming.Interop;
using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>
/// Times micro-batches of steps spread evenly over an epoch, so that short and long samples come in their shares, and one
/// update at a learning rate of 0.
/// </summary>
internal sealed class Calibrator(TrainSetup setup, NativeContext context)
{
    private const double BudgetSeconds = 3;
    private const double PatienceSeconds = 20;
    private const int FewestMicroBatches = 3;
    private const int MostMicroBatches = 32;

    /// <summary>Fills in the times of a forecast.</summary>
    /// <exception cref="OperationCanceledException">After the micro-batch at hand.</exception>
    public TrainForecast Measure(TrainForecast forecast, CancellationToken token)
    {
        var (batches, tokens, seconds, perStep) = Batches(token);
        var optimizer = OptimizerSeconds();
        var (evalTokens, evalSeconds) = Evaluation(token);
        var stepSeconds = perStep * seconds / tokens + optimizer;
        var steps = setup.Data.Planner.TotalSteps;
        var evaluation =
            evalTokens == 0
                ? 0
                : evalSeconds / evalTokens * setup.Data.Eval.Sum(sample => sample.Tokens.Length) * Evaluations(steps);
        return forecast with
        {
            TokensPerStep = perStep,
            TokensPerS = perStep / stepSeconds,
            Seconds = steps * stepSeconds + evaluation,
            Calibration = new Calibration(
                batches,
                tokens,
                seconds,
                optimizer,
                evalTokens,
                evalSeconds,
                ProcessMemory.PeakBytes
            ),
        };
    }

    /// <summary>Before the first step, at the end, and in between.</summary>
    private int Evaluations(int steps)
    {
        var every = setup.Options.EvalEvery;
        return 2 + (every > 0 ? (steps - 1) / every : 0);
    }

    private (int Batches, long Tokens, double Seconds, double PerStep) Batches(CancellationToken token)
    {
        Time(context.Accumulate, Pick(0).Batch, token);
        var started = Stopwatch.StartNew();
        var batches = 0;
        long tokens = 0;
        long stepTokens = 0;
        double seconds = 0;
        for (var pick = 0; pick < MostMicroBatches && GoOn(started.Elapsed.TotalSeconds, batches); pick++)
        {
            var (batch, ofStep) = Pick(pick);
            seconds += Time(context.Accumulate, batch, token);
            tokens += batch.Tokens.Length;
            stepTokens += ofStep;
            batches++;
        }
        return (batches, tokens, seconds, (double)stepTokens / batches);
    }

    private static bool GoOn(double elapsed, int done) =>
        done == 0 || elapsed < BudgetSeconds || (done < FewestMicroBatches && elapsed < PatienceSeconds);

    /// <summary>Micro-batch number <paramref name="pick"/>: steps in an order that covers the epoch evenly wherever it ends.</summary>
    private (Batch Batch, long StepTokens) Pick(int pick)
    {
        var inEpoch = Math.Min(setup.Data.Planner.Epoch(0).Count, setup.Data.Planner.TotalSteps);
        var batches = Step((int)(VanDerCorput(pick) * inEpoch));
        // Another place in each step, the smaller last one in its share.
        var golden = (pick + 1) * 0.6180339887498949;
        var place = (int)((golden - Math.Floor(golden)) * batches.Count);
        return (batches[place], batches.Sum(batch => (long)batch.Tokens.Length));
    }

    private IReadOnlyList<Batch> Step(int step)
    {
        var samples = setup.Data.Planner.Epoch(0)[step];
        return BatchPlanner.Plan(
            [.. samples.Select(sample => setup.Data.Train[sample])],
            [.. samples.Select(sample => BatchPlanner.SampleKey(0, sample))],
            setup.Plan.FillTokens
        );
    }

    private double OptimizerSeconds()
    {
        StepParams parameters = new()
        {
            Step = 1,
            TargetCount = 1,
            LearningRate = 0,
            Beta1 = setup.Options.AdamBeta1,
            Beta2 = setup.Options.AdamBeta2,
            Epsilon = setup.Options.AdamEpsilon,
        };
        context.Step(parameters);
        var clock = Stopwatch.StartNew();
        context.Step(parameters);
        return clock.Elapsed.TotalSeconds;
    }

    private (long Tokens, double Seconds) Evaluation(CancellationToken token)
    {
        long tokens = 0;
        double seconds = 0;
        var samples = setup.Data.Eval;
        var keys = Enumerable.Range(0, samples.Count).Select(index => (ulong)index).ToArray();
        var batches = samples.Count == 0 ? [] : BatchPlanner.Plan(samples, keys, setup.Plan.FillTokens);
        for (var pick = 0; pick < Math.Min(batches.Count, 4) && seconds < BudgetSeconds / 2; pick++)
        {
            var batch = batches[(int)(VanDerCorput(pick) * batches.Count)];
            seconds += Time(context.Evaluate, batch, token);
            tokens += batch.Tokens.Length;
        }
        return (tokens, seconds);
    }

    private delegate void Pass(Batch batch, Span<double> losses, Span<long> targets);

    private static double Time(Pass pass, Batch batch, CancellationToken token)
    {
        token.ThrowIfCancellationRequested();
        var losses = new double[batch.SequenceCount];
        var counts = new long[batch.SequenceCount];
        var clock = Stopwatch.StartNew();
        pass(batch, losses, counts);
        return clock.Elapsed.TotalSeconds;
    }

    /// <summary>0, 1/2, 1/4, 3/4, 1/8, ...: evenly spread for any count of them.</summary>
    private static double VanDerCorput(int index)
    {
        double sum = 0;
        for (var place = 0.5; index > 0; index >>= 1, place /= 2)
        {
            sum += (index & 1) * place;
        }
        return sum;
    }
}
