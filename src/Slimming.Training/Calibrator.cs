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
    private const int MostEvalBatches = 4;

    /// <summary>Fills in the times of a forecast.</summary>
    /// <exception cref="OperationCanceledException">After the micro-batch at hand.</exception>
    public TrainForecast Measure(TrainForecast forecast, CancellationToken token)
    {
        var (batches, tokens, seconds, perStep) = Batches(token);
        if (tokens == 0)
        {
            return forecast with { NotCalibrated = "none of the steps looked at has a sample" };
        }
        var optimizer = OptimizerSeconds();
        var (evalTokens, evalSeconds) = Evaluation(token);
        var stepSeconds = perStep * seconds / tokens + optimizer;
        var steps = setup.Data.Train.TotalSteps;
        var evaluation =
            evalTokens == 0 ? 0 : evalSeconds / evalTokens * setup.Data.Eval!.Counts.Tokens * Evaluations(steps);
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
        var started = Stopwatch.StartNew();
        var batches = 0;
        long tokens = 0;
        long stepTokens = 0;
        double seconds = 0;
        for (var pick = 0; pick < MostMicroBatches && GoOn(started.Elapsed.TotalSeconds, batches); pick++)
        {
            var (batch, ofStep) = Pick(pick);
            batches++;
            if (batch is null)
            {
                continue;
            }
            if (tokens == 0)
            {
                // The first one touches all memory.
                Time(context.Accumulate, batch, token);
                started.Restart();
            }
            seconds += Time(context.Accumulate, batch, token);
            tokens += batch.Tokens.Length;
            stepTokens += ofStep;
        }
        return (batches, tokens, seconds, (double)stepTokens / batches);
    }

    private static bool GoOn(double elapsed, int done) =>
        done == 0 || elapsed < BudgetSeconds || (done < FewestMicroBatches && elapsed < PatienceSeconds);

    /// <summary>
    /// Micro-batch number <paramref name="pick"/>: steps in an order that covers the epoch evenly wherever it ends, or the
    /// first ones where each place of the epoch costs a look into the files. Null where the step has no sample.
    /// </summary>
    private (Batch? Batch, long StepTokens) Pick(int pick)
    {
        var inEpoch = Math.Min(setup.Data.Train.StepsIn(0), setup.Data.Train.TotalSteps);
        var step = setup.TrainSet.IsStreamed ? pick % inEpoch : (int)(VanDerCorput(pick) * inEpoch);
        var batches = BatchPlanner.Plan(setup.Data.Train.Samples(0, step), setup.Plan.FillTokens).ToList();
        // Another place in each step, the smaller last one in its share.
        var golden = (pick + 1) * 0.6180339887498949;
        var place = (int)((golden - Math.Floor(golden)) * batches.Count);
        return batches.Count == 0 ? (null, 0) : (batches[place], batches.Sum(batch => (long)batch.Tokens.Length));
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
        if (setup.Data.Eval is not { } eval)
        {
            return (0, 0);
        }
        var all = BatchPlanner.Plan(eval.Samples(), setup.Plan.FillTokens);
        var streamed = (setup.EvalSet ?? setup.TrainSet).IsStreamed;
        var batches = (streamed ? all.Take(MostEvalBatches) : all).ToList();
        for (var pick = 0; pick < Math.Min(batches.Count, MostEvalBatches) && seconds < BudgetSeconds / 2; pick++)
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
