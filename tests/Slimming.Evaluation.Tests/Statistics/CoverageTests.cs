using MathNet.Numerics.Random;
using Slimming.Evaluation.Statistics;

namespace Slimming.Evaluation.Tests.Statistics;

/// <summary>Made-up pairs of models whose true accuracies are known: intervals cover them, tests hold their level.</summary>
public sealed class CoverageTests
{
    private const int Draws = 10_000;

    private const int BootstrapDraws = 2_000;
    private const int BootstrapResamples = 1_000;

    /// <summary>Shares of items that both, only the base, only the tuned model, and neither have right.</summary>
    public static TheoryData<int, double, double, double> Truths =>
        new()
        {
            { 400, 0.45, 0.05, 0.05 },
            { 400, 0.45, 0.05, 0.08 },
            { 400, 0.15, 0.10, 0.05 },
            { 400, 0.60, 0.05, 0.15 },
            { 1000, 0.30, 0.20, 0.20 },
        };

    [Theory]
    [MemberData(nameof(Truths))]
    public void IntervalsCover(int n, double both, double onlyBase, double onlyTuned)
    {
        var (wilson, t) = (0, 0);
        foreach (var (b, c, right) in Simulate(n, both, onlyBase, onlyTuned, Draws))
        {
            wilson += Covers(Proportions.Wilson(right + b, n), both + onlyBase);
            t += Covers(TTest.FromDiscordant(c, b, n).Interval()!.Value, onlyTuned - onlyBase);
        }
        ((double)wilson / Draws).ShouldBeInRange(0.935, 0.965);
        ((double)t / Draws).ShouldBeInRange(0.935, 0.965);
    }

    [Fact]
    public void BootstrapCovers()
    {
        const int n = 400;
        var covered = 0;
        var seed = 0;
        foreach (var (b, c, _) in Simulate(n, 0.45, 0.05, 0.08, BootstrapDraws))
        {
            double[] differences =
            [
                .. Enumerable.Repeat(-1.0, b),
                .. Enumerable.Repeat(1.0, c),
                .. Enumerable.Repeat(0.0, n - b - c),
            ];
            var bootstrap = PairedBootstrap.Draw(WeightedMean.Of(differences), BootstrapResamples, seed++);
            covered += Covers(bootstrap.Bca(), 0.03);
        }
        ((double)covered / BootstrapDraws).ShouldBeInRange(0.935, 0.965);
    }

    [Theory]
    [InlineData(400, 0.05)]
    [InlineData(400, 0.15)]
    [InlineData(1000, 0.10)]
    public void TestsHoldTheirLevel(int n, double changedEachWay)
    {
        var (exact, mid, t) = (0, 0, 0);
        foreach (var (b, c, _) in Simulate(n, 0.4, changedEachWay, changedEachWay, Draws))
        {
            exact += new McNemar(b, c).PExact <= 0.05 ? 1 : 0;
            mid += new McNemar(b, c).PMid <= 0.05 ? 1 : 0;
            t += TTest.FromDiscordant(c, b, n).P <= 0.05 ? 1 : 0;
        }
        // The exact test never exceeds its level; the other two are near it.
        ((double)exact / Draws).ShouldBeInRange(0.015, 0.0555);
        ((double)mid / Draws).ShouldBeInRange(0.035, 0.0565);
        ((double)t / Draws).ShouldBeInRange(0.035, 0.0565);
    }

    [Fact]
    public void EquivalenceIsRarelyFoundWhereTheDifferenceIsTheMargin()
    {
        var found = 0;
        foreach (var (b, c, _) in Simulate(1000, 0.5, 0.06, 0.04, Draws))
        {
            found += Equivalence.Of(TTest.FromDiscordant(c, b, 1000), -0.02, 0.02)!.P <= 0.05 ? 1 : 0;
        }
        ((double)found / Draws).ShouldBeInRange(0.02, 0.0565);
    }

    [Fact]
    public void TheSmallestDetectableDifferenceIsDetectedAsOftenAsStated()
    {
        const int n = 500;
        var mde = McNemar.MinimumDetectable(n, 0.2)!.Value;
        var found = Simulate(n, 0.4, (0.2 - mde) / 2, (0.2 + mde) / 2, Draws)
            .Count(draw => new McNemar(draw.OnlyBase, draw.OnlyTuned).PExact <= 0.05);
        // The exact test is a little weaker than the approximation that gives the difference.
        ((double)found / Draws).ShouldBeInRange(0.74, 0.81);
    }

    /// <summary>Drawing counts of each kind is drawing units: mean and spread of the means, and every count as likely.</summary>
    [Fact]
    public void CountsAreResampledAsUnitsAre()
    {
        const int n = 30;
        double[] differences = [.. Enumerable.Repeat(-1.0, 4), .. Enumerable.Repeat(1.0, 9), .. new double[17]];
        var resampler = Resampler.Of(WeightedMean.Of(differences));
        var random = new Xoshiro256StarStar(5, threadSafe: false);
        double[] means = [.. Enumerable.Range(0, 200_000).Select(_ => resampler.Next(random))];
        means.Average().ShouldBe(5.0 / n, 0.002);
        Means.Deviation(means)!.Value.ShouldBe(Math.Sqrt(((13.0 / n) - (25.0 / n / n)) / n), 0.001);
        var table = new BinomialTable(7, 0.3);
        var counts = new int[8];
        for (var i = 0; i < 70_000; i++)
        {
            counts[table.Draw((i + 0.5) / 70_000)]++;
        }
        // n! / k! / (n-k)! p^k q^(n-k)
        for (var (k, choose) = (0, 1.0); k <= 7; choose *= (7.0 - k) / (k + 1), k++)
        {
            (counts[k] / 70_000.0).ShouldBe(choose * Math.Pow(0.3, k) * Math.Pow(0.7, 7 - k), 3e-5);
        }
    }

    internal static int Covers(Interval interval, double truth) =>
        interval.Low <= truth && truth <= interval.High ? 1 : 0;

    internal static IEnumerable<(int OnlyBase, int OnlyTuned, int Both)> Simulate(
        int n,
        double both,
        double onlyBase,
        double onlyTuned,
        int draws
    )
    {
        var random = new Xoshiro256StarStar(20240501, threadSafe: false);
        for (var draw = 0; draw < draws; draw++)
        {
            var (b, c, right) = (0, 0, 0);
            for (var i = 0; i < n; i++)
            {
                var u = random.NextDouble();
                if (u < both)
                {
                    right++;
                }
                else if (u < both + onlyBase)
                {
                    b++;
                }
                else if (u < both + onlyBase + onlyTuned)
                {
                    c++;
                }
            }
            yield return (b, c, right);
        }
    }
}
