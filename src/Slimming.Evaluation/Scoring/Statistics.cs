using MathNet.Numerics.Distributions;

namespace Slimming.Evaluation.Scoring;

/// <summary>Means of item scores with their uncertainty.</summary>
public static class Statistics
{
    private static readonly double Z95 = Normal.InvCDF(0, 1, 0.975);

    /// <summary>Standard error of a mean: sample deviation (n - 1) over sqrt(n); null below two values.</summary>
    public static double? StandardError(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Count < 2)
        {
            return null;
        }
        var mean = values.Average();
        var squares = values.Sum(value => (value - mean) * (value - mean));
        return Math.Sqrt(squares / (values.Count - 1)) / Math.Sqrt(values.Count);
    }

    /// <summary>Wilson's 95 % interval of a share of 0/1 items.</summary>
    public static (double Low, double High) Wilson(long successes, long n)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var p = (double)successes / n;
        var z2 = Z95 * Z95;
        var center = (p + (z2 / (2 * n))) / (1 + (z2 / n));
        var half = Z95 / (1 + (z2 / n)) * Math.Sqrt((p * (1 - p) / n) + (z2 / (4.0 * n * n)));
        // At the ends the bound is exact; rounding must not pass it.
        return (successes == 0 ? 0 : center - half, successes == n ? 1 : center + half);
    }
}
