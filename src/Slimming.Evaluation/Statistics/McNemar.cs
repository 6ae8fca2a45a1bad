namespace Slimming.Evaluation.Statistics;

/// <summary>
/// McNemar's test of two models on the same 0/1 items. Only discordant items count: <paramref name="B"/> that the first
/// model alone has right, <paramref name="C"/> that the second alone has right.
/// </summary>
public readonly record struct McNemar(long B, long C)
{
    private long Discordant => B + C;

    /// <summary>Two-sided binomial test of B among B + C fair coins: twice the smaller tail, at most 1; 1 without discordant items.</summary>
    public double PExact => Math.Min(1, DoubleTail);

    /// <summary>The same less the probability of the observed count.</summary>
    public double PMid =>
        Discordant == 0 ? 1 : Math.Clamp(DoubleTail - Distributions.CoinMass(Math.Min(B, C), Discordant), 0, 1);

    /// <summary>(b - c)^2 / (b + c); null without discordant items.</summary>
    public double? ChiSquared => Discordant == 0 ? null : Math.Pow(B - C, 2) / Discordant;

    public double? PChiSquared => ChiSquared is { } x ? Distributions.ChiSquaredTail(x) : null;

    /// <summary>(|b - c| - 1)^2 / (b + c) (Edwards 1948); null without discordant items.</summary>
    public double? ChiSquaredCorrected => Discordant == 0 ? null : Math.Pow(Math.Abs(B - C) - 1, 2) / Discordant;

    public double? PChiSquaredCorrected => ChiSquaredCorrected is { } x ? Distributions.ChiSquaredTail(x) : null;

    private double DoubleTail => Discordant == 0 ? 1 : 2 * Distributions.CoinTail(Math.Min(B, C), Discordant);

    /// <summary>
    /// Smallest difference of two accuracies that the test finds with this power on n items of which a share is
    /// discordant: the d that solves n = (z(1-alpha/2) sqrt(psi) + z(power) sqrt(psi - d^2))^2 / d^2 (unconditional
    /// normal approximation; the exact test's true power at that d is 0.75 to 0.80 for a power of 0.8).
    /// </summary>
    /// <returns>Null where even a difference of the whole discordant share would not be found.</returns>
    public static double? MinimumDetectable(long n, double discordantShare, double alpha = 0.05, double power = 0.8)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var a = Distributions.NormalQuantile(1 - (alpha / 2)) * Math.Sqrt(discordantShare);
        var b = Distributions.NormalQuantile(power);
        var root = (a * a * n) - ((n + (b * b)) * ((a * a) - (b * b * discordantShare)));
        if (root < 0 || discordantShare <= 0)
        {
            return null;
        }
        var d = ((a * Math.Sqrt(n)) + Math.Sqrt(root)) / (n + (b * b));
        return d > discordantShare ? null : d;
    }
}
