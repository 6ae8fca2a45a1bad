namespace Slimming.Evaluation.Statistics;

/// <summary>Shares of 0/1 items. Rates are fractions, not per cent.</summary>
public static class Proportions
{
    /// <summary>sqrt(p (1 - p) / (n - 1)), what lm-evaluation-harness prints after its plus-minus; null for n of 1.</summary>
    public static double? StandardError(long k, long n)
    {
        Check(k, n);
        var p = (double)k / n;
        return n > 1 ? Math.Sqrt(p * (1 - p) / (n - 1)) : null;
    }

    /// <summary>Wilson's score interval without continuity correction (Wilson 1927).</summary>
    public static Interval Wilson(long k, long n, double level = 0.95)
    {
        Check(k, n);
        return Wilson((double)k / n, n, level);
    }

    /// <summary>Wilson's interval of a share p of n items, n not whole where it counts what clustered items are worth.</summary>
    public static Interval Wilson(double p, double n, double level)
    {
        var z = Distributions.NormalHalfWidth(level);
        var z2 = z * z;
        var center = (p + (z2 / (2 * n))) / (1 + (z2 / n));
        var half = z / (1 + (z2 / n)) * Math.Sqrt((p * (1 - p) / n) + (z2 / (4 * n * n)));
        // At the ends the bound is exact; rounding must not pass it.
        return new(p <= 0 ? 0 : center - half, p >= 1 ? 1 : center + half);
    }

    /// <summary>Of a share over units that are worth as many independent items as would have the same error.</summary>
    public static Interval Wilson(WeightedMean share, double level)
    {
        ArgumentNullException.ThrowIfNull(share);
        var p = share.Value;
        var n =
            share.StandardError is > 0 and { } error && p is > 0 and < 1 ? p * (1 - p) / (error * error) : share.Units;
        return Wilson(p, n, level);
    }

    /// <summary>The exact interval of Clopper and Pearson (1934).</summary>
    public static Interval ClopperPearson(long k, long n, double level = 0.95)
    {
        Check(k, n);
        var tail = (1 - level) / 2;
        return new(
            k == 0 ? 0
                : k == n ? Math.Pow(tail, 1.0 / n)
                : Distributions.BetaQuantile(k, n - k + 1, tail),
            k == n ? 1
                : k == 0 ? 1 - Math.Pow(tail, 1.0 / n)
                : Distributions.BetaQuantile(k + 1, n - k, 1 - tail)
        );
    }

    private static void Check(long k, long n)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(k);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(k, n);
    }
}
