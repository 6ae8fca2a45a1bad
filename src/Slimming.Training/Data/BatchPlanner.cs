using Slimming.Interop;

namespace Slimming.Training.Data;

/// <summary>Lays the samples of a step end to end into micro-batches.</summary>
public static class BatchPlanner
{
    /// <summary>
    /// Whole samples in order, as many to a micro-batch as fit <paramref name="fillTokens"/>; a longer sample is alone.
    /// </summary>
    /// <param name="samples">The step's samples.</param>
    /// <param name="sampleKeys">Key of each sample's random draws (dropout).</param>
    /// <param name="fillTokens">Tokens a micro-batch is filled up to.</param>
    public static IReadOnlyList<Batch> Plan(
        IReadOnlyList<Sample> samples,
        IReadOnlyList<ulong> sampleKeys,
        int fillTokens
    )
    {
        ArgumentNullException.ThrowIfNull(samples);
        ArgumentNullException.ThrowIfNull(sampleKeys);
        if (samples.Count != sampleKeys.Count)
        {
            throw new ArgumentException($"{samples.Count} samples but {sampleKeys.Count} keys", nameof(sampleKeys));
        }
        var batches = new List<Batch>();
        for (var first = 0; first < samples.Count; )
        {
            var end = first + 1;
            var tokens = samples[first].Tokens.Length;
            while (end < samples.Count && tokens + samples[end].Tokens.Length <= fillTokens)
            {
                tokens += samples[end++].Tokens.Length;
            }
            batches.Add(Lay(samples, sampleKeys, first, end, tokens));
            first = end;
        }
        return batches;
    }

    /// <summary>Key of a sample's random draws: other ones each epoch, the same in any batch or order.</summary>
    public static ulong SampleKey(int epoch, int sample) => ((ulong)(uint)epoch << 32) | (uint)sample;

    private static Batch Lay(
        IReadOnlyList<Sample> samples,
        IReadOnlyList<ulong> sampleKeys,
        int first,
        int end,
        int length
    )
    {
        var tokens = new int[length];
        var targets = new int[length];
        var offsets = new long[end - first + 1];
        var keys = new ulong[end - first];
        var at = 0;
        for (var i = first; i < end; i++)
        {
            samples[i].Tokens.CopyTo(tokens, at);
            samples[i].Targets.CopyTo(targets, at);
            keys[i - first] = sampleKeys[i];
            at += samples[i].Tokens.Length;
            offsets[i - first + 1] = at;
        }
        return new Batch
        {
            Tokens = tokens,
            Offsets = offsets,
            Targets = targets,
            SampleKeys = keys,
        };
    }
}
