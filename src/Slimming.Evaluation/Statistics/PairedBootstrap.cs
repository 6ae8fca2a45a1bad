using MathNet.Numerics.Random;

namespace Slimming.Evaluation.Statistics;

/// <summary>Bootstrap of a (weighted) mean difference over paired units (Efron 1987 for BCa).</summary>
public sealed class PairedBootstrap
{
    /// <summary>Means closer than this are the same mean: in 0/1 data many tie with the estimate, and z0 counts them.</summary>
    private const double Tie = 1e-12;

    private readonly double[] _sorted;

    private PairedBootstrap(WeightedMean sample, double[] means)
    {
        Array.Sort(means);
        _sorted = means;
        Estimate = sample.Value;
        StandardError = Means.Deviation(means) ?? 0;
        var below = means.Count(mean => mean < Estimate - Tie);
        var atOrBelow = means.Count(mean => mean <= Estimate + Tie);
        Z0 = Distributions.NormalQuantile((below + atOrBelow) / 2.0 / means.Length);
        Acceleration = AccelerationOf(sample);
    }

    public double Estimate { get; }

    /// <summary>Sample deviation of the resampled means.</summary>
    public double StandardError { get; }

    /// <summary>Infinite where every resampled mean lies on one side of the estimate.</summary>
    public double Z0 { get; }

    public double Acceleration { get; }

    /// <summary>Draws units with replacement; equal seeds give equal resamples.</summary>
    public static PairedBootstrap Draw(WeightedMean sample, int resamples, int seed)
    {
        ArgumentNullException.ThrowIfNull(sample);
        ArgumentOutOfRangeException.ThrowIfLessThan(resamples, 2);
        var random = new Xoshiro256StarStar(seed, threadSafe: false);
        var resampler = Resampler.Of(sample);
        var means = new double[resamples];
        for (var draw = 0; draw < resamples; draw++)
        {
            means[draw] = resampler.Next(random);
        }
        return new(sample, means);
    }

    /// <summary>Takes the resamples as given: each lists the units drawn.</summary>
    public static PairedBootstrap From(WeightedMean sample, IReadOnlyList<int[]> resamples)
    {
        ArgumentNullException.ThrowIfNull(sample);
        ArgumentNullException.ThrowIfNull(resamples);
        return new(
            sample,
            [
                .. resamples.Select(units =>
                    units.Sum(unit => sample.Values[unit]) / units.Sum(unit => sample.Weights[unit])
                ),
            ]
        );
    }

    public Interval Percentile(double level = 0.95) => new(Quantile((1 - level) / 2), Quantile((1 + level) / 2));

    public Interval Basic(double level = 0.95)
    {
        var percentile = Percentile(level);
        return new((2 * Estimate) - percentile.High, (2 * Estimate) - percentile.Low);
    }

    /// <summary>Bias corrected and accelerated; where that is not defined (all means equal, or one-sided) the percentile interval.</summary>
    public Interval Bca(double level = 0.95)
    {
        var (low, high) = BcaLevels(level);
        return double.IsFinite(Z0) && double.IsFinite(low) && double.IsFinite(high)
            ? new(Quantile(low), Quantile(high))
            : Percentile(level);
    }

    /// <summary>Phi(z0 + (z0 + z) / (1 - a (z0 + z))) for both ends.</summary>
    public (double Low, double High) BcaLevels(double level = 0.95)
    {
        var z = Distributions.NormalHalfWidth(level);
        return (Level(-z), Level(z));

        double Level(double end)
        {
            var shifted = Z0 + end;
            return Distributions.NormalCdf(Z0 + (shifted / (1 - (Acceleration * shifted))));
        }
    }

    private double Quantile(double q) => Quantiles.Interpolate(_sorted, q);

    /// <summary>sum(u^3) / (6 sum(u^2)^1.5), u = mean of the leave-one-out means minus the leave-one-out mean.</summary>
    private static double AccelerationOf(WeightedMean sample)
    {
        if (sample.Units < 2)
        {
            return 0;
        }
        var (sum, total) = (sample.Values.Sum(), sample.Weights.Sum());
        var left = new double[sample.Units];
        for (var i = 0; i < left.Length; i++)
        {
            left[i] = (sum - sample.Values[i]) / (total - sample.Weights[i]);
        }
        var mean = left.Average();
        var (squares, cubes) = (0.0, 0.0);
        foreach (var value in left)
        {
            var u = mean - value;
            squares += u * u;
            cubes += u * u * u;
        }
        return squares > 0 ? cubes / (6 * Math.Pow(squares, 1.5)) : 0;
    }
}
