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
        return [.. Plan(samples.Zip(sampleKeys, (sample, key) => new KeyedSample(sample, key)), fillTokens)];
    }

    /// <summary>The same, reading the samples only as their micro-batch comes.</summary>
    internal static IEnumerable<Batch> Plan(IEnumerable<KeyedSample> samples, int fillTokens)
    {
        List<KeyedSample> filling = [];
        var tokens = 0;
        foreach (var sample in samples)
        {
            var length = sample.Sample.Tokens.Length;
            if (filling.Count > 0 && tokens + length > fillTokens)
            {
                yield return Lay(filling, tokens);
                filling.Clear();
                tokens = 0;
            }
            filling.Add(sample);
            tokens += length;
        }
        if (filling.Count > 0)
        {
            yield return Lay(filling, tokens);
        }
    }

    /// <summary>What <see cref="Plan(IEnumerable{KeyedSample}, int)"/> would make of samples at most.</summary>
    internal static BatchSize Largest(IEnumerable<Sample> samples, int fillTokens)
    {
        var (most, tokens, targets) = (default(BatchSize), 0, 0);
        foreach (var sample in samples)
        {
            var fits = tokens + sample.Tokens.Length <= fillTokens;
            tokens = sample.Tokens.Length + (fits ? tokens : 0);
            targets = sample.TargetCount + (fits ? targets : 0);
            most = most.Or(new BatchSize(tokens, targets));
        }
        return most;
    }

    /// <summary>Key of a sample's random draws: other ones each epoch, the same in any batch or order.</summary>
    public static ulong SampleKey(int epoch, int sample) => ((ulong)(uint)epoch << 32) | (uint)sample;

    private static Batch Lay(List<KeyedSample> samples, int length)
    {
        var tokens = new int[length];
        var targets = new int[length];
        var offsets = new long[samples.Count + 1];
        var keys = new ulong[samples.Count];
        var at = 0;
        for (var i = 0; i < samples.Count; i++)
        {
            var (sample, key) = samples[i];
            sample.Tokens.CopyTo(tokens, at);
            sample.Targets.CopyTo(targets, at);
            keys[i] = key;
            at += sample.Tokens.Length;
            offsets[i + 1] = at;
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
