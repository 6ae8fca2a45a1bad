namespace Slimming.Evaluation.Statistics;

/// <summary>Student's t for a mean difference. Nothing is given where the error is 0 or unknown: t would be infinite or 0/0.</summary>
public readonly record struct TTest(double Mean, double? StandardError, int Df)
{
    /// <summary>The paired t test of x - y.</summary>
    public static TTest Paired(IReadOnlyList<double> x, IReadOnlyList<double> y) =>
        WeightedMean.Of([.. x.Zip(y, (first, second) => first - second)]).Test();

    /// <summary>
    /// Error of a mean paired difference of 0/1 items from the counts alone: sqrt(((b+c) - n d^2) / (n-1) / n).
    /// </summary>
    public static TTest FromDiscordant(long onlyFirst, long onlySecond, long n)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var d = (double)(onlyFirst - onlySecond) / n;
        double? error = n > 1 ? Math.Sqrt(Math.Max(0, onlyFirst + onlySecond - (n * d * d)) / (n - 1) / n) : null;
        return new(d, error, (int)n - 1);
    }

    public double? T => Defined ? Mean / StandardError!.Value : null;

    /// <summary>Two-sided p.</summary>
    public double? P => T is { } t ? Distributions.StudentTwoSided(t, Df) : null;

    public Interval? Interval(double level = 0.95) =>
        Defined
            ? Statistics.Interval.Around(Mean, Distributions.StudentHalfWidth(level, Df) * StandardError!.Value)
            : null;

    // What rounding leaves of a constant difference is no error either.
    private bool Defined => Df > 0 && StandardError > 1e-14 * Math.Abs(Mean);
}
