namespace Slimming.Evaluation.Statistics;

/// <summary>Two shares of independent items, first minus second: k1 of n1 against k2 of n2.</summary>
public sealed record TwoProportions
{
    private readonly double _p1;
    private readonly double _p2;

    public TwoProportions(long k1, long n1, long k2, long n2)
    {
        (K1, N1, K2, N2) = (k1, n1, k2, n2);
        StandardErrorSample =
            n1 > 1 && n2 > 1
                ? Math.Sqrt(
                    Math.Pow(Proportions.StandardError(k1, n1)!.Value, 2)
                        + Math.Pow(Proportions.StandardError(k2, n2)!.Value, 2)
                )
                : null;
        (_p1, _p2) = ((double)k1 / n1, (double)k2 / n2);
        var common = (double)(k1 + k2) / (n1 + n2);
        StandardErrorPooled = Math.Sqrt(common * (1 - common) * ((1.0 / n1) + (1.0 / n2)));
        StandardErrorUnpooled = Math.Sqrt((_p1 * (1 - _p1) / n1) + (_p2 * (1 - _p2) / n2));
    }

    public long K1 { get; }
    public long N1 { get; }
    public long K2 { get; }
    public long N2 { get; }

    public double Difference => _p1 - _p2;

    /// <summary>Under one common share, divided by n.</summary>
    public double StandardErrorPooled { get; }

    /// <summary>Each with its own share, divided by n.</summary>
    public double StandardErrorUnpooled { get; }

    /// <summary>Each with its own share, divided by n - 1 as the harness does; null where an n is 1.</summary>
    public double? StandardErrorSample { get; }

    /// <summary>Null where both shares are 0 or both 1: there is no z then.</summary>
    public double? ZPooled => StandardErrorPooled > 0 ? Difference / StandardErrorPooled : null;

    public double? PPooled => ZPooled is { } z ? Distributions.NormalTwoSided(z) : null;

    public double? ZUnpooled => StandardErrorUnpooled > 0 ? Difference / StandardErrorUnpooled : null;

    public double? PUnpooled => ZUnpooled is { } z ? Distributions.NormalTwoSided(z) : null;

    /// <summary>Difference +- z unpooled errors; null where that error is 0.</summary>
    public Interval? Wald(double level = 0.95) =>
        StandardErrorUnpooled > 0
            ? Interval.Around(Difference, Distributions.NormalHalfWidth(level) * StandardErrorUnpooled)
            : null;

    /// <summary>Square-and-add of two Wilson intervals (Newcombe 1998, method 10).</summary>
    public Interval Newcombe(double level = 0.95)
    {
        var first = Proportions.Wilson(K1, N1, level);
        var second = Proportions.Wilson(K2, N2, level);
        return new(
            Difference - Math.Sqrt(Math.Pow(_p1 - first.Low, 2) + Math.Pow(second.High - _p2, 2)),
            Difference + Math.Sqrt(Math.Pow(first.High - _p1, 2) + Math.Pow(_p2 - second.Low, 2))
        );
    }
}
