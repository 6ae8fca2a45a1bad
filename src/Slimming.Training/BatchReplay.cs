using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>A sample of a replayed batch.</summary>
/// <param name="Source">File that it came from.</param>
/// <param name="Row">Its row there, from 0.</param>
/// <param name="Tokens">Of it.</param>
/// <param name="Targets">Tokens with loss.</param>
/// <param name="Loss">Mean cross entropy in nats; null where it is not finite. Such a sample has no gradient.</param>
public sealed record ReplayedSample(string Source, long Row, int Tokens, int Targets, double? Loss);

/// <summary>A trainable tensor in a replayed batch.</summary>
/// <param name="Name">Of it.</param>
/// <param name="GradNorm">L2 of its gradient; null where it is not finite.</param>
/// <param name="Largest">Largest absolute value in it; null where one is not finite.</param>
public sealed record ReplayedTensor(string Name, double? GradNorm, double? Largest);

/// <summary>Forward and backward of one batch.</summary>
/// <param name="Batch">Its file.</param>
/// <param name="Out">Folder of the run.</param>
/// <param name="Step">Steps behind the values that were computed with.</param>
/// <param name="Loss">Mean over all targets; null where a sample's is not finite.</param>
/// <param name="GradNorm">L2 over all trainables before clipping; null where it is not finite.</param>
/// <param name="Samples">In the batch's order.</param>
/// <param name="Tensors">In the blocks' order.</param>
/// <param name="NonFinite">What is not finite, in words; empty where all is.</param>
public sealed record ReplayResult(
    string Batch,
    string Out,
    int Step,
    double? Loss,
    double? GradNorm,
    IReadOnlyList<ReplayedSample> Samples,
    IReadOnlyList<ReplayedTensor> Tensors,
    IReadOnlyList<string> NonFinite
);

/// <summary>
/// Computes a batch again with a run's newest sound checkpoint, or with its first values where there is none. Applies and
/// writes nothing.
/// </summary>
public static class BatchReplay
{
    /// <param name="batch">JSONL of <c>input_ids</c> and <c>labels</c>, as a run keeps them under <c>nonfinite</c>.</param>
    /// <param name="options">Of the run; null: those in the run folder that <paramref name="batch"/> lies in.</param>
    /// <param name="sink">Told what happens; null for nobody.</param>
    /// <param name="token">Ends it after the sample at hand.</param>
    /// <exception cref="SlimmingException">What cannot be done, with its exit code.</exception>
    public static ReplayResult Run(
        string batch,
        TrainOptions? options = null,
        ITrainSink? sink = null,
        CancellationToken token = default
    )
    {
        if (!File.Exists(batch))
        {
            throw new SlimmingException(ExitCode.Usage, $"--replay-batch {batch}: there is no such file");
        }
        var folder =
            options?.Out ?? Path.GetFullPath(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(batch))!, ".."));
        var record = RunRecord.Read(folder);
        options = (options ?? record.ReadOptions(folder)) with
        {
            Data = [batch],
            Where = null,
            Sample = null,
            EvalData = [],
            EvalFraction = null,
            EvalEvery = 0,
            Patience = 0,
            Packing = false,
            Steps = 1,
            Given = new HashSet<string>(),
        };
        TrainOptionsCheck.Check(options);
        sink ??= new Silent();
        using var setup = TrainSetup.Open(options, record.TemplateDate, sink, mustFit: true);
        if (setup.Model.Sha256 != record.Model.Sha256)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--replay-batch: {options.Model} is another file than the run in {folder} was begun with"
            );
        }
        using NativeContext context = new(setup.Model.Native, setup.Adapter, setup.Context);
        TrainBlocks blocks = new(
            context.Block(NativeBlock.Parameters),
            context.Block(NativeBlock.Moment1),
            context.Block(NativeBlock.Moment2)
        );
        var state = RunFolder.CheckpointsOf(folder).ReadNewest(blocks, sink.Warning);
        var samples = Samples(batch, setup, context, token);
        var targets = samples.Sum(sample => (long)sample.Targets);
        var tensors = Tensors(setup.Adapter, context, targets);
        var norm = Norm(tensors.Sum(tensor => Math.Pow((tensor.GradNorm ?? double.NaN) * targets, 2)), targets);
        return new ReplayResult(
            batch,
            folder,
            state?.Step ?? 0,
            OrNull(samples.Sum(sample => (sample.Loss ?? double.NaN) * sample.Targets) / targets),
            norm,
            samples,
            tensors,
            [.. Found(samples, tensors, norm)]
        );
    }

    /// <summary>Each alone: what a micro-batch holds changes no bit.</summary>
    private static List<ReplayedSample> Samples(
        string batch,
        TrainSetup setup,
        NativeContext context,
        CancellationToken token
    )
    {
        var origins = BatchFile.Origins(batch);
        List<ReplayedSample> samples = [];
        foreach (var (i, (sample, _)) in setup.TrainSet.All().Samples().Index())
        {
            token.ThrowIfCancellationRequested();
            var origin = origins[(int)sample.Row];
            KeyedSample keyed = new(sample, origin.Key ?? BatchPlanner.SampleKey(0, i));
            var loss = new double[1];
            var count = new long[1];
            try
            {
                context.Accumulate(BatchPlanner.Plan([keyed], setup.Plan.FillTokens).Single(), loss, count);
            }
            catch (NonFiniteException)
            {
                // Told by the sample's loss.
                loss[0] = double.NaN;
            }
            samples.Add(
                new ReplayedSample(
                    origin.Source ?? batch,
                    origin.Row ?? sample.Row,
                    sample.Tokens.Length,
                    sample.TargetCount,
                    OrNull(loss[0] / sample.TargetCount)
                )
            );
        }
        return samples;
    }

    private static List<ReplayedTensor> Tensors(NativeAdapter adapter, NativeContext context, long targets)
    {
        var gradients = context.Block(NativeBlock.Gradients);
        List<ReplayedTensor> tensors = [];
        foreach (var trainable in adapter.Trainables)
        {
            double squares = 0;
            foreach (var value in gradients.Slice((int)trainable.Offset, (int)trainable.Count))
            {
                squares += (double)value * value;
            }
            double largest = 0;
            foreach (var value in adapter.ValuesOf(trainable))
            {
                // NaN stays.
                largest = Math.Max(largest, Math.Abs((double)value));
            }
            tensors.Add(new ReplayedTensor(trainable.Name, Norm(squares, targets), OrNull(largest)));
        }
        return tensors;
    }

    private static IEnumerable<string> Found(List<ReplayedSample> samples, List<ReplayedTensor> tensors, double? norm)
    {
        foreach (var (i, sample) in samples.Index().Where(pair => pair.Item.Loss is null))
        {
            yield return $"the loss of sample {i} ({sample.Source}, row {sample.Row} from 0)";
        }
        foreach (var tensor in tensors.Where(tensor => tensor.GradNorm is null))
        {
            yield return $"the gradient of {tensor.Name}";
        }
        if (norm is null && tensors.All(tensor => tensor.GradNorm is not null))
        {
            yield return "the gradient norm over all tensors";
        }
        foreach (var tensor in tensors.Where(tensor => tensor.Largest is null))
        {
            yield return $"the values of {tensor.Name}";
        }
    }

    /// <summary>A step adds squares up in f32, so more than it holds is as good as infinite.</summary>
    private static double? Norm(double squares, long targets) =>
        squares <= float.MaxValue ? Math.Sqrt(squares) / targets : null;

    private static double? OrNull(double value) => double.IsFinite(value) ? value : null;

    private sealed class Silent : ITrainSink;
}
