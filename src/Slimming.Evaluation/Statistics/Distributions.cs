using MathNet.Numerics;
using MathNet.Numerics.Distributions;

namespace Slimming.Evaluation.Statistics;

/// <summary>Tails and quantiles, tails computed as such: one minus a probability near 1 would lose their digits.</summary>
internal static class Distributions
{
    private const int NewtonSteps = 3;

    /// <summary>z(0.975): 1.96 is rounded.</summary>
    public static double Z95 { get; } = NormalQuantile(0.975);

    public static double NormalQuantile(double p) => Normal.InvCDF(0, 1, p);

    public static double NormalCdf(double z) => Normal.CDF(0, 1, z);

    /// <summary>P(|Z| >= |z|).</summary>
    public static double NormalTwoSided(double z) => SpecialFunctions.Erfc(Math.Abs(z) / Math.Sqrt(2));

    /// <summary>z with level of the probability inside +-z.</summary>
    public static double NormalHalfWidth(double level) => NormalQuantile(1 - ((1 - level) / 2));

    /// <summary>P(chi2 with one degree of freedom >= x).</summary>
    public static double ChiSquaredTail(double x) => SpecialFunctions.Erfc(Math.Sqrt(x / 2));

    /// <summary>P(T >= t).</summary>
    public static double StudentTail(double t, double df)
    {
        // df / (df + t^2) would round a small t away, and 1 minus what lies inside of a large one.
        var half =
            t * t < 1
                ? 0.5 * (1 - SpecialFunctions.BetaRegularized(0.5, df / 2, t * t / (df + (t * t))))
                : 0.5 * SpecialFunctions.BetaRegularized(df / 2, 0.5, df / (df + (t * t)));
        return t >= 0 ? half : 1 - half;
    }

    /// <summary>P(|T| >= |t|).</summary>
    public static double StudentTwoSided(double t, double df) => 2 * StudentTail(Math.Abs(t), df);

    /// <summary>t with level of the probability inside +-t; Newton steps make up for the library's coarse search.</summary>
    public static double StudentHalfWidth(double level, double df)
    {
        var tail = (1 - level) / 2;
        var t = StudentT.InvCDF(0, 1, df, 1 - tail);
        for (var i = 0; i < NewtonSteps; i++)
        {
            t += (StudentTail(t, df) - tail) / StudentT.PDF(0, 1, df, t);
        }
        return t;
    }

    /// <summary>x with P(Beta(a, b) &lt;= x) = p.</summary>
    public static double BetaQuantile(double a, double b, double p)
    {
        var x = Beta.InvCDF(a, b, p);
        for (var i = 0; i < NewtonSteps; i++)
        {
            var next = x - ((SpecialFunctions.BetaRegularized(a, b, x) - p) / Beta.PDF(a, b, x));
            if (next is <= 0 or >= 1 || !double.IsFinite(next))
            {
                return x;
            }
            x = next;
        }
        return x;
    }

    /// <summary>P(X &lt;= k) of n fair coins.</summary>
    public static double CoinTail(long k, long n) => k >= n ? 1 : SpecialFunctions.BetaRegularized(n - k, k + 1, 0.5);

    /// <summary>P(X = k) of n fair coins.</summary>
    public static double CoinMass(long k, long n) =>
        Math.Exp(
            SpecialFunctions.GammaLn(n + 1.0)
                - SpecialFunctions.GammaLn(k + 1.0)
                - SpecialFunctions.GammaLn(n - k + 1.0)
                - (n * Math.Log(2))
        );
}
