namespace Slimming.Evaluation.Statistics;

/// <summary>A quantile of values that lie in independent units (the tokens of text windows), with Woodruff's interval (1952).</summary>
/// <remarks>
/// The share of values at or below the quantile is a ratio of sums over units; its clustered error gives two shares, and
/// the quantiles at these are the bounds. Quantiles interpolate linearly at position q (n - 1) of the sorted values.
/// </remarks>
/// <param name="Value">The quantile of all values.</param>
/// <param name="Interval">Null with one unit, and where no unit has a value above the quantile.</param>
public readonly record struct ClusteredQuantile(double Value, Interval? Interval)
{
    /// <param name="units">Values by unit; at least one value in all.</param>
    /// <param name="q">Between 0 and 1.</param>
    /// <param name="level">Of the interval.</param>
    public static ClusteredQuantile Of(IReadOnlyList<IReadOnlyList<double>> units, double q, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(units);
        double[] sorted = [.. units.SelectMany(unit => unit).Order()];
        ArgumentOutOfRangeException.ThrowIfZero(sorted.Length, nameof(units));
        var value = Quantiles.Interpolate(sorted, q);
        var below = new WeightedMean(
            [.. units.Select(unit => (double)unit.Count(item => item <= value))],
            [.. units.Select(unit => (double)unit.Count)]
        );
        if (below.StandardError is not > 0)
        {
            return new(value, null);
        }
        var half = Distributions.StudentHalfWidth(level, below.Units - 1) * below.StandardError.Value;
        return new(
            value,
            new Interval(
                Quantiles.Interpolate(sorted, Math.Max(0, q - half)),
                Quantiles.Interpolate(sorted, Math.Min(1, q + half))
            )
        );
    }
}

internal static class Quantiles
{
    /// <summary>Linear interpolation at position q (n - 1) of sorted values.</summary>
    public static double Interpolate(double[] sorted, double q)
    {
        var position = q * (sorted.Length - 1);
        var below = (int)Math.Floor(position);
        var above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + ((position - below) * (sorted[above] - sorted[below]));
    }
}
