using System.Numerics;

namespace Slimming.Evaluation.Statistics;

/// <summary>Permutation test of a mean paired difference of zero: under it every difference's sign is a coin.</summary>
public static class SignFlip
{
    /// <summary>Means closer than this count as equal: ties are common in 0/1 data and sums round.</summary>
    private const double Tie = 1e-12;

    /// <summary>Most differences whose sign vectors are all tried.</summary>
    public const int MostExact = 24;

    /// <summary>All 2^n sign vectors, the observed one among them.</summary>
    /// <returns>Two-sided p, and p of a mean at least as large as the observed one.</returns>
    public static (double TwoSided, double Greater) Exact(IReadOnlyList<double> differences)
    {
        ArgumentNullException.ThrowIfNull(differences);
        ArgumentOutOfRangeException.ThrowIfLessThan(differences.Count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(differences.Count, MostExact);
        var total = 1L << differences.Count;
        var observed = differences.Average();
        long extreme = 0;
        long greater = 0;
        for (var mask = 0L; mask < total; mask++)
        {
            var mean = Mean(differences, mask);
            extreme += Math.Abs(mean) >= Math.Abs(observed) - Tie ? 1 : 0;
            greater += mean >= observed - Tie ? 1 : 0;
        }
        return ((double)extreme / total, (double)greater / total);
    }

    /// <summary>Given sign vectors: bit i, lowest first, changes the sign of difference i. p = (extreme + 1) / (vectors + 1).</summary>
    public static double MonteCarlo(IReadOnlyList<double> differences, IEnumerable<BigInteger> masks)
    {
        ArgumentNullException.ThrowIfNull(differences);
        ArgumentNullException.ThrowIfNull(masks);
        var observed = Math.Abs(differences.Average());
        long draws = 0;
        long extreme = 0;
        foreach (var mask in masks)
        {
            var sum = 0.0;
            for (var i = 0; i < differences.Count; i++)
            {
                sum += ((mask >> i) & 1).IsOne ? -differences[i] : differences[i];
            }
            draws++;
            extreme += Math.Abs(sum / differences.Count) >= observed - Tie ? 1 : 0;
        }
        return (extreme + 1.0) / (draws + 1.0);
    }

    private static double Mean(IReadOnlyList<double> differences, long mask)
    {
        var sum = 0.0;
        for (var i = 0; i < differences.Count; i++)
        {
            sum += ((mask >> i) & 1) == 1 ? -differences[i] : differences[i];
        }
        return sum / differences.Count;
    }
}
