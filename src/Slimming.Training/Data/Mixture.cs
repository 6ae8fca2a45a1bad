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
        var sum = weights.Sum();
        Shares = [.. weights.Select(weight => weight / sum)];
        _members =
        [
            .. weights.Select((_, part) => Enumerable.Range(0, parts.Count).Where(i => parts[i] == part).ToArray()),
        ];
        var length = _members.Select((members, part) => members.Length / Shares[part]).Min();
        // The small addend keeps 0.1 * 30 at 3.
        Drawn = [.. _members.Select((m, part) => Math.Clamp((int)((length * Shares[part]) + 1e-6), 1, m.Length))];
    }

    /// <summary>Weights that add up to 1.</summary>
    public IReadOnlyList<double> Shares { get; }

    /// <summary>Samples of each source in one epoch.</summary>
    public IReadOnlyList<int> Drawn { get; }

    /// <summary>Samples of each source.</summary>
    public IReadOnlyList<int> Available => [.. _members.Select(members => members.Length)];

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
        var start = (long)epoch * Drawn[part];
        return Enumerable.Range(0, Drawn[part]).Select(i => members[order[(int)((start + i) % order.Length)]]);
    }
}
