using Slimming.Gguf;
using Slimming.Interop;

namespace Slimming.Training;

/// <summary>Chooses the micro-batch: the asked one, or with <c>--memory</c> the largest halving of it that fits.</summary>
internal static class MemoryPlanner
{
    /// <summary>.NET, the vocabulary and the data path, beside what the native plan counts; measured, rounded up.</summary>
    public const long BaselineBytes = 128L << 20;

    /// <summary>The context to create and its plan.</summary>
    /// <exception cref="SlimmingException">Exit code 3: nothing fits; the message names what would.</exception>
    public static (ContextParams Parameters, Plan Plan) Choose(
        TrainOptions options,
        int longest,
        ComputeMode compute,
        Func<ContextParams, Plan> plan
    )
    {
        ContextParams At(int tokens, int sequence) =>
            new()
            {
                MicroBatchTokens = tokens,
                MaxSequenceTokens = sequence,
                Compute = compute,
                Training = true,
                DropoutSeed = (ulong)options.Seed,
            };
        var parameters = At(options.MicroBatchTokens, longest);
        var found = plan(parameters);
        for (var tokens = options.MicroBatchTokens; !Fits(found); tokens /= 2)
        {
            if (tokens == 0)
            {
                throw Refused(options, found, longest, length => plan(At(1, length)));
            }
            parameters = At(tokens, longest);
            found = plan(parameters);
        }
        return (parameters, found);

        bool Fits(Plan candidate) => options.Memory is not { } limit || Needed(candidate) <= limit;
    }

    /// <summary>The largest micro-batch and the longest sample that fit <c>--memory</c>; null without it.</summary>
    /// <param name="options">Of the run; its memory is the limit.</param>
    /// <param name="used">The context in use.</param>
    /// <param name="contextLength">No sample is longer.</param>
    /// <param name="plan">Sizes of a context.</param>
    public static LargestFit? Largest(
        TrainOptions options,
        ContextParams used,
        int contextLength,
        Func<ContextParams, Plan> plan
    )
    {
        if (options.Memory is not { } limit)
        {
            return null;
        }
        const int MostMicroBatchTokens = 1 << 16;
        return new LargestFit(
            LargestThat(
                used.MicroBatchTokens,
                MostMicroBatchTokens,
                tokens => Needed(plan(used with { MicroBatchTokens = tokens })) <= limit
            ),
            LargestThat(
                used.MaxSequenceTokens,
                Math.Max(contextLength, used.MaxSequenceTokens),
                tokens => Needed(plan(used with { MaxSequenceTokens = tokens })) <= limit
            )
        );
    }

    /// <summary>By halving; <paramref name="known"/> fits.</summary>
    private static int LargestThat(int known, int most, Func<int, bool> fits)
    {
        while (known < most)
        {
            var middle = known + (most - known + 1) / 2;
            (known, most) = fits(middle) ? (middle, most) : (known, middle - 1);
        }
        return known;
    }

    /// <summary>Bytes of the whole process: mapped weights, planned blocks, baseline.</summary>
    public static long Needed(Plan plan) => plan.WeightBytes + plan.TotalBytes + BaselineBytes;

    private static SlimmingException Refused(TrainOptions options, Plan smallest, int longest, Func<int, Plan> at)
    {
        var length = longest / 2;
        while (length >= 2 && Needed(at(length)) > options.Memory)
        {
            length /= 2;
        }
        var shorter = length >= 2 ? $", or --max-length {length} fits into it" : "";
        return new SlimmingException(
            ExitCode.Refused,
            $"--memory {ByteSize.Format(options.Memory!.Value)}: the smallest plan for samples of {longest} tokens needs "
                + $"{ByteSize.Format(Needed(smallest))} (weights {ByteSize.Format(smallest.WeightBytes)}, trainables and "
                + $"optimizer {ByteSize.Format(smallest.ParameterBytes + smallest.OptimizerBytes)}, activations "
                + $"{ByteSize.Format(smallest.ActivationBytes)}); --memory {(Needed(smallest) >> 20) + 1}MiB is enough{shorter}"
        );
    }
}
