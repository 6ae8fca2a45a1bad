namespace Slimming.Training.Data;

/// <summary>How many samples of each source an epoch takes, and which: a function of its arguments alone.</summary>
/// <remarks>
/// An epoch is as long as the weights allow without taking a sample twice. What it leaves over comes first in the next
/// one, so all samples of a source are taken equally often.
/// </remarks>
public sealed class Mixture
{
    private const ulong Stream = 0x4D49585455524531;
    private readonly int[][] _members;

    /// <param name="weights">Of each source, above 0.</param>
    /// <param name="parts">The source of each sample; every source has at least one.</param>
    public Mixture(IReadOnlyList<double> weights, IReadOnlyList<int> parts)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(parts);
        _members =
        [
            .. weights.Select((_, part) => Enumerable.Range(0, parts.Count).Where(i => parts[i] == part).ToArray()),
        ];
        Mix = new MixShares(weights, [.. _members.Select(members => members.LongLength)]);
    }

    /// <summary>How much of each source an epoch takes.</summary>
    public MixShares Mix { get; }

    /// <summary>The samples of one epoch: mixed, or source after source in file order.</summary>
    public int[] Epoch(int epoch, ulong seed, bool shuffle)
    {
        var drawn = Enumerable.Range(0, _members.Length).SelectMany(part => Draw(part, epoch, seed, shuffle)).ToArray();
        return shuffle ? [.. CounterRandom.Permutation(drawn.Length, seed, epoch).Select(i => drawn[i])] : drawn;
    }

    /// <summary>A window that goes round and round over the source's samples, in one random order.</summary>
    private IEnumerable<int> Draw(int part, int epoch, ulong seed, bool shuffle)
    {
        var members = _members[part];
        var order = shuffle
            ? CounterRandom.Permutation(members.Length, CounterRandom.Bits(seed, Stream, (ulong)part), 0)
            : [.. Enumerable.Range(0, members.Length)];
        var start = epoch * Mix.Drawn[part];
        return Enumerable.Range(0, (int)Mix.Drawn[part]).Select(i => members[order[(int)((start + i) % order.Length)]]);
    }
}
