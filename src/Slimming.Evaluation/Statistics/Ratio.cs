namespace Slimming.Evaluation.Statistics;

/// <summary>A quotient a / b of two estimates with its delta-method standard error.</summary>
public readonly record struct Ratio(double Value, double StandardError)
{
    /// <summary>
    /// se = |a/b| sqrt((se_a/a)^2 + (se_b/b)^2 - 2 rho se_a se_b / (a b)), written without dividing by a, which may be 0.
    /// </summary>
    public static Ratio Of(double a, double seA, double b, double seB, double correlation = 0)
    {
        ArgumentOutOfRangeException.ThrowIfZero(b);
        var r = a / b;
        var variance = (seA * seA) + (r * r * seB * seB) - (2 * r * correlation * seA * seB);
        return new(r, Math.Sqrt(Math.Max(0, variance)) / Math.Abs(b));
    }

    /// <summary>
    /// mean(a) / mean(b) of items that both models answered, with their sample covariance; items with equal cluster keys
    /// count as one unit. Null below two units or where mean(b) is 0.
    /// </summary>
    public static Ratio? OfPaired(
        IReadOnlyList<double> a,
        IReadOnlyList<double> b,
        IReadOnlyList<string>? clusters = null
    )
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        var meanB = b.Average();
        if (meanB == 0)
        {
            return null;
        }
        var r = a.Average() / meanB;
        // To first order the quotient moves by (a - r b) / mean(b): its error is that mean's.
        var residuals = a.Zip(b, (top, bottom) => (top - (r * bottom)) / meanB).ToArray();
        return WeightedMean.Of(residuals, clusters: clusters).StandardError is { } error ? new Ratio(r, error) : null;
    }

    public Interval Normal(double level = 0.95) =>
        Interval.Around(Value, Distributions.NormalHalfWidth(level) * StandardError);

    /// <summary>The forgetting rate of a = tuned, b = base, in per cent: 100 (1 - a/b).</summary>
    public double ForgettingPercent => 100 * (1 - Value);

    public double ForgettingErrorPercent => 100 * StandardError;

    public Interval ForgettingInterval(double level = 0.95)
    {
        var normal = Normal(level);
        return new(100 * (1 - normal.High), 100 * (1 - normal.Low));
    }
}
