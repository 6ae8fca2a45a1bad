using MathNet.Numerics.Random;

namespace Slimming.Evaluation.Statistics;

/// <summary>An answer: the probability that the model gave to it, and whether it was right.</summary>
public readonly record struct Answered(double Confidence, bool Right, string? Cluster = null);

/// <summary>Answers of like confidence.</summary>
/// <param name="Low">Confidence from...</param>
/// <param name="High">...to.</param>
/// <param name="Count">Answers; one at least.</param>
/// <param name="Confidence">Their mean.</param>
/// <param name="Accuracy">Share of right ones.</param>
/// <param name="Interval">Wilson's, of that share.</param>
public sealed record CalibrationBin(
    double Low,
    double High,
    int Count,
    double Confidence,
    double Accuracy,
    Interval Interval
);

/// <summary>Whether answers given with 70 % confidence are right in 70 % of cases (Guo et al. 2017).</summary>
/// <param name="N">Answers.</param>
/// <param name="Confidence">Mean confidence.</param>
/// <param name="Accuracy">Share of right answers.</param>
/// <param name="Error">Expected calibration error: mean of |accuracy - confidence| over bins, weighted by their answers.</param>
/// <param name="Interval">Bias-corrected percentile bootstrap of it over items, or over the texts that items share.</param>
/// <param name="Chance">Its mean if every confidence were true: what so few answers show of error by chance alone.</param>
/// <param name="Bins">Of equal width, those that hold answers.</param>
public sealed record Calibration(
    int N,
    double Confidence,
    double Accuracy,
    double Error,
    Interval Interval,
    double Chance,
    IReadOnlyList<CalibrationBin> Bins
)
{
    private const int BinCount = 10;

    /// <exception cref="ArgumentException">No answers, or a confidence outside 0 to 1.</exception>
    public static Calibration Of(
        IReadOnlyList<Answered> answers,
        double level = 0.95,
        int resamples = 1000,
        int seed = 42
    )
    {
        ArgumentNullException.ThrowIfNull(answers);
        ArgumentOutOfRangeException.ThrowIfZero(answers.Count, nameof(answers));
        if (answers.Any(answer => answer.Confidence is not (>= 0 and <= 1)))
        {
            throw new ArgumentException("a confidence lies outside 0 to 1", nameof(answers));
        }
        var bins = answers
            .GroupBy(Bin)
            .OrderBy(bin => bin.Key)
            .Select(bin =>
            {
                var (count, right) = (bin.Count(), bin.Count(answer => answer.Right));
                return new CalibrationBin(
                    (double)bin.Key / BinCount,
                    (bin.Key + 1.0) / BinCount,
                    count,
                    bin.Average(answer => answer.Confidence),
                    (double)right / count,
                    Proportions.Wilson(right, count, level)
                );
            })
            .ToList();
        Gaps all = new();
        foreach (var answer in answers)
        {
            all.Add(answer, answer.Right);
        }
        var error = all.Error;
        var random = new Xoshiro256StarStar(seed, threadSafe: false);
        return new Calibration(
            answers.Count,
            answers.Average(answer => answer.Confidence),
            (double)answers.Count(answer => answer.Right) / answers.Count,
            error,
            Bootstrap(answers, error, level, resamples, random),
            ErrorByChance(answers, resamples, random),
            bins
        );
    }

    /// <summary>Probability of the most likely of several choices, if one of them is the answer.</summary>
    /// <param name="logProbs">Log-probabilities of the choices, nats.</param>
    public static double ConfidenceOf(IReadOnlyList<double> logProbs)
    {
        ArgumentNullException.ThrowIfNull(logProbs);
        var max = logProbs.Max();
        return 1 / logProbs.Sum(value => Math.Exp(value - max));
    }

    private static int Bin(Answered answer) => Math.Min(BinCount - 1, (int)(answer.Confidence * BinCount));

    /// <summary>Sums of confidence minus outcome by bin: their sizes over the number of answers are the error.</summary>
    private sealed class Gaps
    {
        private readonly double[] _sums = new double[BinCount];
        private int _count;

        public double Error => _sums.Sum(Math.Abs) / _count;

        public void Add(Answered answer, bool right)
        {
            _sums[Bin(answer)] += answer.Confidence - (right ? 1 : 0);
            _count++;
        }

        public void Clear()
        {
            Array.Clear(_sums);
            _count = 0;
        }
    }

    private static double ErrorByChance(IReadOnlyList<Answered> answers, int draws, Random random)
    {
        Gaps gaps = new();
        var sum = 0.0;
        for (var draw = 0; draw < draws; draw++)
        {
            gaps.Clear();
            foreach (var answer in answers)
            {
                gaps.Add(answer, random.NextDouble() < answer.Confidence);
            }
            sum += gaps.Error;
        }
        return sum / draws;
    }

    /// <summary>Resampling adds error of its own: the share of resamples below the estimate says how much.</summary>
    private static Interval Bootstrap(
        IReadOnlyList<Answered> answers,
        double error,
        double level,
        int resamples,
        Random random
    )
    {
        Answered[][] units =
        [
            .. answers
                .Select((answer, index) => (answer, Key: answer.Cluster ?? $"item {index}"))
                .GroupBy(pair => pair.Key, StringComparer.Ordinal)
                .Select(unit => unit.Select(pair => pair.answer).ToArray()),
        ];
        var errors = new double[resamples];
        Gaps gaps = new();
        for (var draw = 0; draw < resamples; draw++)
        {
            gaps.Clear();
            for (var i = 0; i < units.Length; i++)
            {
                foreach (var answer in units[random.Next(units.Length)])
                {
                    gaps.Add(answer, answer.Right);
                }
            }
            errors[draw] = gaps.Error;
        }
        Array.Sort(errors);
        // All above (or below) the estimate: half a resample stands for none.
        var below = Math.Clamp(errors.Count(value => value < error), 0.5, resamples - 0.5);
        var z0 = Distributions.NormalQuantile(below / resamples);
        var z = Distributions.NormalHalfWidth(level);
        return new(
            Quantiles.Interpolate(errors, Distributions.NormalCdf((2 * z0) - z)),
            Quantiles.Interpolate(errors, Distributions.NormalCdf((2 * z0) + z))
        );
    }
}
