namespace Slimming.Evaluation.Statistics;

/// <summary>A correlation of n pairs with its two-sided p value (t with n - 2 degrees of freedom).</summary>
public sealed record Correlation(double Coefficient, double P, int N)
{
    /// <summary>Pearson's r; null where a side is constant or fewer than three pairs are given.</summary>
    public static Correlation? Pearson(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        if (x.Count != y.Count)
        {
            throw new ArgumentException($"{x.Count} and {y.Count} values do not pair", nameof(y));
        }
        if (x.Count < 3)
        {
            return null;
        }
        var (meanX, meanY) = (x.Average(), y.Average());
        var (xx, yy, xy) = (0.0, 0.0, 0.0);
        for (var i = 0; i < x.Count; i++)
        {
            xx += (x[i] - meanX) * (x[i] - meanX);
            yy += (y[i] - meanY) * (y[i] - meanY);
            xy += (x[i] - meanX) * (y[i] - meanY);
        }
        if (xx == 0 || yy == 0)
        {
            return null;
        }
        var r = Math.Clamp(xy / Math.Sqrt(xx * yy), -1, 1);
        var rest = 1 - (r * r);
        // A perfect line leaves rounding in r.
        var p = rest <= 1e-15 ? 0 : Distributions.StudentTwoSided(r * Math.Sqrt((x.Count - 2) / rest), x.Count - 2);
        return new(r, p, x.Count);
    }

    /// <summary>Spearman's rho: Pearson's r of ranks, equal values sharing their mean rank.</summary>
    public static Correlation? Spearman(IReadOnlyList<double> x, IReadOnlyList<double> y) =>
        Pearson(Ranks(x), Ranks(y));

    /// <summary>Fisher's interval tanh(atanh(r) +- z / sqrt(n - 3)), of Pearson's r alone; null below four pairs.</summary>
    public Interval? Fisher(double level = 0.95)
    {
        if (N < 4)
        {
            return null;
        }
        var half = Distributions.NormalHalfWidth(level) / Math.Sqrt(N - 3);
        return new(Math.Tanh(Math.Atanh(Coefficient) - half), Math.Tanh(Math.Atanh(Coefficient) + half));
    }

    private static double[] Ranks(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        var order = Enumerable.Range(0, values.Count).OrderBy(i => values[i]).ToArray();
        var ranks = new double[values.Count];
        for (var start = 0; start < order.Length; )
        {
            var end = start;
            while (end < order.Length && values[order[end]] == values[order[start]])
            {
                end++;
            }
            for (var i = start; i < end; i++)
            {
                ranks[order[i]] = (start + end + 1) / 2.0;
            }
            start = end;
        }
        return ranks;
    }
}
