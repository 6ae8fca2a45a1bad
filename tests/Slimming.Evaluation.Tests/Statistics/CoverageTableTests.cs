using System.Globalization;
using Slimming.Evaluation.Statistics;

namespace Slimming.Evaluation.Tests.Statistics;

/// <summary>
/// The whole grid of simulated runs with known truth, printed as the table of docs/measurements.md
/// (scripts/measure/coverage.sh): small n as measured, n of 400 and more held to the bars.
/// </summary>
[Trait("Category", "Slow")]
public sealed class CoverageTableTests(ITestOutputHelper output)
{
    private const int Draws = 10_000;
    private const int Resamples = 2_000;

    /// <summary>Items of a run; accuracy of the base; share of items on which the two differ; true difference.</summary>
    private sealed record Truth(int N, double Base, double Discordant, double Difference)
    {
        public double OnlyBase => (Discordant - Difference) / 2;

        public double OnlyTuned => (Discordant + Difference) / 2;

        public double Both => Base - OnlyBase;
    }

    /// <summary>Shares of draws.</summary>
    private sealed record Found(double Wilson, double T, double Bca, double Exact, double Mid, double PairedT);

    [Fact]
    public void IntervalsCoverAndTestsHoldTheirLevel()
    {
        Truth[] truths =
        [
            .. from n in new[] { 50, 100, 200, 400, 1000, 2000 }
            from p in new[] { 0.2, 0.5, 0.8 }
            from discordant in new[] { 0.1, 0.3 }
            from difference in new[] { 0, 0.05 }
            select new Truth(n, p, discordant, difference),
        ];
        var found = truths
            .AsParallel()
            .AsOrdered()
            .WithCancellation(TestContext.Current.CancellationToken)
            .Select(Simulate)
            .ToList();
        Line("| n | base | discordant | difference | Wilson | t | BCa | exact McNemar | mid p | paired t |");
        Line("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        foreach (var (truth, row) in truths.Zip(found))
        {
            var rejected =
                truth.Difference == 0
                    ? $"{Percent(row.Exact)} | {Percent(row.Mid)} | {Percent(row.PairedT)}"
                    : "- | - | -";
            Line(
                FormattableString.Invariant(
                    $"| {truth.N} | {truth.Base} | {truth.Discordant} | {truth.Difference} | {Percent(row.Wilson)} | {Percent(row.T)} | {Percent(row.Bca)} | {rejected} |"
                )
            );
        }
        foreach (var (truth, row) in truths.Zip(found).Where(pair => pair.First.N >= 400))
        {
            var place = truth.ToString();
            row.Wilson.ShouldBeInRange(0.935, 0.965, place);
            row.T.ShouldBeInRange(0.935, 0.965, place);
            row.Bca.ShouldBeInRange(0.935, 0.965, place);
            if (truth.Difference == 0)
            {
                // Three standard errors of 10,000 draws above 0.05; the exact test may be far below.
                row.Exact.ShouldBeLessThan(0.0566, place);
                row.Mid.ShouldBeInRange(0.035, 0.0566, place);
                row.PairedT.ShouldBeInRange(0.035, 0.0566, place);
            }
        }
    }

    private static Found Simulate(Truth truth)
    {
        var n = truth.N;
        var (wilson, t, bca, exact, mid, paired) = (0, 0, 0, 0, 0, 0);
        var seed = 0;
        foreach (var (b, c, both) in CoverageTests.Simulate(n, truth.Both, truth.OnlyBase, truth.OnlyTuned, Draws))
        {
            var test = TTest.FromDiscordant(c, b, n);
            wilson += CoverageTests.Covers(Proportions.Wilson(both + b, n), truth.Base);
            // No item changed, or all alike: no interval, which covers nothing.
            t += test.Interval() is { } interval ? CoverageTests.Covers(interval, truth.Difference) : 0;
            double[] differences =
            [
                .. Enumerable.Repeat(-1.0, b),
                .. Enumerable.Repeat(1.0, c),
                .. Enumerable.Repeat(0.0, n - b - c),
            ];
            var bootstrap = PairedBootstrap.Draw(WeightedMean.Of(differences), Resamples, seed++);
            bca += CoverageTests.Covers(bootstrap.Bca(), truth.Difference);
            exact += new McNemar(b, c).PExact <= 0.05 ? 1 : 0;
            mid += new McNemar(b, c).PMid <= 0.05 ? 1 : 0;
            paired += test.P <= 0.05 ? 1 : 0;
        }
        return new Found(Share(wilson), Share(t), Share(bca), Share(exact), Share(mid), Share(paired));

        static double Share(int count) => (double)count / Draws;
    }

    private void Line(string text) => output.WriteLine(text);

    private static string Percent(double share) => (100 * share).ToString("0.00", CultureInfo.InvariantCulture);
}
