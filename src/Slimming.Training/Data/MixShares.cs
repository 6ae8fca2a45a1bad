namespace Slimming.Training.Data;

/// <summary>How much of each source an epoch takes: as long as the weights allow without taking anything twice.</summary>
public sealed class MixShares
{
    /// <param name="weights">Of each source, above 0.</param>
    /// <param name="available">Samples of each source (rows, where they are read as they are needed), at least 1.</param>
    public MixShares(IReadOnlyList<double> weights, IReadOnlyList<long> available)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(available);
        var sum = weights.Sum();
        Shares = [.. weights.Select(weight => weight / sum)];
        Available = available;
        var length = available.Select((count, part) => count / Shares[part]).Min();
        // The small addend keeps 0.1 * 30 at 3.
        Drawn = [.. available.Select((count, part) => Math.Clamp((long)((length * Shares[part]) + 1e-6), 1, count))];
    }

    /// <summary>Weights that add up to 1.</summary>
    public IReadOnlyList<double> Shares { get; }

    /// <summary>Of each source in one epoch.</summary>
    public IReadOnlyList<long> Drawn { get; }

    /// <summary>Of each source in all.</summary>
    public IReadOnlyList<long> Available { get; }
}
