using System.Globalization;
using System.Numerics;
using System.Text.Json;
using Slimming.Evaluation.Statistics;

namespace Slimming.Evaluation.Tests.Statistics;

/// <summary>Every statistic against values of scipy and statsmodels, file by file.</summary>
public sealed class ReferenceTests
{
    [Fact]
    public void Wilson()
    {
        foreach (var row in StatisticsFixture.Cases("wilson"))
        {
            var found = Proportions.Wilson(row.Whole("k"), row.Whole("n"), row.Number("level"));
            row.Expect("low", found.Low);
            row.Expect("high", found.High);
        }
    }

    [Fact]
    public void ClopperPearson()
    {
        foreach (var row in StatisticsFixture.Cases("clopper_pearson"))
        {
            var found = Proportions.ClopperPearson(row.Whole("k"), row.Whole("n"), row.Number("level"));
            row.Expect("low", found.Low);
            row.Expect("high", found.High);
        }
    }

    [Fact]
    public void McNemars()
    {
        foreach (var row in StatisticsFixture.Cases("mcnemar"))
        {
            var test = new McNemar(row.Whole("b"), row.Whole("c"));
            row.Expect("p_exact", test.PExact);
            row.Expect("p_mid", test.PMid);
            row.Expect("chi2", test.ChiSquared);
            row.Expect("p_chi2", test.PChiSquared);
            row.Expect("chi2_corrected", test.ChiSquaredCorrected);
            row.Expect("p_chi2_corrected", test.PChiSquaredCorrected);
        }
    }

    [Fact]
    public void SmallestDetectableDifference()
    {
        foreach (var row in StatisticsFixture.Cases("mde_mcnemar"))
        {
            var n = row.Whole("n");
            var found = McNemar.MinimumDetectable(
                n,
                row.Number("discordant_rate"),
                row.Number("alpha"),
                row.Number("power")
            );
            row.Expect("mde", found);
            row.Expect("net_items", found * n);
            (found is not null).ShouldBe(row.GetProperty("reachable").GetBoolean());
        }
    }

    [Fact]
    public void PairedT()
    {
        foreach (var row in StatisticsFixture.Cases("paired_t"))
        {
            var test = TTest.Paired(row.Numbers("x"), row.Numbers("y"));
            row.Expect("mean_difference", test.Mean);
            row.Expect("se", test.StandardError);
            row.Expect("t", test.T);
            row.Expect("p_two_sided", test.P);
            row.Expect("ci95", test.Interval());
            test.Df.ShouldBe((int)row.Whole("df"));
            if (row.TryGetProperty("only_x_right", out var b))
            {
                var counted = TTest.FromDiscordant(b.GetInt64(), row.Whole("only_y_right"), row.Whole("n"));
                row.Expect("se", counted.StandardError);
                row.Expect("p_two_sided", counted.P);
            }
        }
    }

    [Fact]
    public void SignFlips()
    {
        var root = StatisticsFixture.Read("sign_flip");
        foreach (var row in root.GetProperty("exact").EnumerateArray())
        {
            var (twoSided, greater) = SignFlip.Exact(row.Numbers("d"));
            row.Expect("p_two_sided", twoSided);
            row.Expect("p_greater", greater);
        }
        var drawn = root.GetProperty("monte_carlo");
        var masks = drawn
            .GetProperty("masks")
            .EnumerateArray()
            .Select(mask => BigInteger.Parse(mask.GetString()!, CultureInfo.InvariantCulture));
        drawn.Expect("p_two_sided", SignFlip.MonteCarlo(drawn.Numbers("d"), masks));
    }

    [Fact]
    public void Bootstrap()
    {
        var root = StatisticsFixture.Read("bootstrap");
        var resamples = root.GetProperty("resamples")
            .EnumerateArray()
            .Select(list => list.EnumerateArray().Select(unit => unit.GetInt32()).ToArray())
            .ToList();
        resamples.Count.ShouldBe(2000);
        foreach (var row in root.GetProperty("cases").EnumerateArray())
        {
            double[] differences = [.. row.Numbers("x").Zip(row.Numbers("y"), (x, y) => x - y)];
            var sample = new WeightedMean(differences, [.. differences.Select(_ => 1.0)]);
            var found = PairedBootstrap.From(sample, resamples);
            row.Expect("estimate", found.Estimate);
            row.Expect("standard_error", found.StandardError);
            row.Expect("z0", found.Z0);
            row.Expect("acceleration", found.Acceleration);
            var (low, high) = found.BcaLevels();
            row.Expect("bca95_levels", new Interval(low, high));
            row.Expect("bca95", found.Bca());
            row.Expect("bca90", found.Bca(0.90));
            row.Expect("percentile95", found.Percentile());
            row.Expect("percentile90", found.Percentile(0.90));
            row.Expect("basic95", found.Basic());
            row.Expect("basic90", found.Basic(0.90));
        }
    }

    [Fact]
    public void ManyTests()
    {
        foreach (var row in StatisticsFixture.Cases("multiplicity"))
        {
            var p = row.Numbers("p");
            Same(row, "holm", Multiplicity.Holm(p));
            Same(row, "bonferroni", Multiplicity.Bonferroni(p));
            Same(row, "benjamini_hochberg", Multiplicity.BenjaminiHochberg(p));
            Multiplicity.Holm(p).Select(value => value <= 0.05).ShouldBe(Flags(row, "holm_reject_05"));
            Multiplicity.Bonferroni(p).Select(value => value <= 0.05).ShouldBe(Flags(row, "bonferroni_reject_05"));
        }
    }

    [Fact]
    public void EquivalenceTests()
    {
        foreach (var row in StatisticsFixture.Cases("tost"))
        {
            var test = TTest.Paired(row.Numbers("x"), row.Numbers("y"));
            var found = Equivalence.Of(test, row.Number("low"), row.Number("high")).ShouldNotBeNull();
            row.Expect("t_low", found.TLow);
            row.Expect("p_low", found.PLow);
            row.Expect("t_high", found.THigh);
            row.Expect("p_high", found.PHigh);
            row.Expect("p", found.P);
            row.Expect("ci90", test.Interval(0.90));
            (found.P < 0.05).ShouldBe(row.GetProperty("equivalent_at_05").GetBoolean());
        }
    }

    [Fact]
    public void TwoIndependentShares()
    {
        foreach (var row in StatisticsFixture.Cases("two_proportions"))
        {
            var found = new TwoProportions(row.Whole("k1"), row.Whole("n1"), row.Whole("k2"), row.Whole("n2"));
            row.Expect("difference", found.Difference);
            row.Expect("se_pooled", found.StandardErrorPooled);
            row.Expect("se_unpooled", found.StandardErrorUnpooled);
            row.Expect("se_sample", found.StandardErrorSample);
            row.Expect("z_pooled", found.ZPooled);
            row.Expect("p_pooled", found.PPooled);
            row.Expect("z_unpooled", found.ZUnpooled);
            row.Expect("p_unpooled", found.PUnpooled);
            row.Expect("wald95", found.Wald());
            row.Expect("newcombe95", found.Newcombe());
        }
    }

    [Fact]
    public void Ratios()
    {
        foreach (var row in StatisticsFixture.Cases("ratio_se"))
        {
            var found = row.TryGetProperty("numerator_items", out _)
                ? Ratio.OfPaired(row.Numbers("numerator_items"), row.Numbers("denominator_items"))!.Value
                : Ratio.Of(
                    row.Number("a"),
                    row.Number("se_a"),
                    row.Number("b"),
                    row.Number("se_b"),
                    row.Number("correlation")
                );
            row.Expect("ratio", found.Value);
            row.Expect("fr_percent", found.ForgettingPercent);
            row.Expect("fr_se_percent", found.ForgettingErrorPercent);
            row.Expect("se", found.StandardError);
            if (row.TryGetProperty("ci95", out _))
            {
                row.Expect("ci95", found.Normal());
            }
        }
    }

    [Fact]
    public void Correlations()
    {
        foreach (var row in StatisticsFixture.Cases("correlation"))
        {
            var (x, y) = (row.Numbers("x"), row.Numbers("y"));
            var pearson = Correlation.Pearson(x, y).ShouldNotBeNull();
            row.Expect("pearson", pearson.Coefficient);
            row.Expect("pearson_p", pearson.P);
            row.Expect("pearson_ci95_fisher", pearson.Fisher());
            var spearman = Correlation.Spearman(x, y).ShouldNotBeNull();
            row.Expect("spearman", spearman.Coefficient);
            row.Expect("spearman_p", spearman.P);
        }
    }

    [Fact]
    public void PublishedScores()
    {
        var scores = StatisticsFixture.Read("published").GetProperty("scores");
        var seen = 0;
        foreach (var score in scores.EnumerateObject())
        {
            var row = score.Value;
            var (k, n) = (row.Whole("k"), row.Whole("n"));
            var error = Proportions.StandardError(k, n)!.Value;
            row.Expect("value_percent", 100.0 * k / n);
            row.Expect("se_percent", 100 * error);
            row.Expect("half_width95_percent", 100 * Distributions.Z95 * error);
            row.Expect("normal95_percent", 100 * Interval.Around((double)k / n, Distributions.Z95 * error));
            row.Expect("wilson95_percent", 100 * Proportions.Wilson(k, n));
            seen++;
        }
        seen.ShouldBeGreaterThan(8);
    }

    [Fact]
    public void PublishedForgetting()
    {
        var rates = StatisticsFixture.Read("published").GetProperty("forgetting_rate");
        Check(rates.GetProperty("from_counts"), Share(49), Share(442));
        Check(rates.GetProperty("strict_from_counts"), Share(41), Share(442));
        Check(rates.GetProperty("from_rounded_inputs"), (0.0371, 0.0052), (0.3351, 0.0130));
        var drop = new TwoProportions(442, 1319, 49, 1319);
        var z = drop.Difference / drop.StandardErrorSample!.Value;
        rates.Expect("unpaired_z_of_the_drop", z);
        rates.Expect("unpaired_p_of_the_drop", Distributions.NormalTwoSided(z));

        static (double, double) Share(long k) => (k / 1319.0, Proportions.StandardError(k, 1319)!.Value);

        static void Check(JsonElement row, (double Value, double Error) tuned, (double Value, double Error) start)
        {
            var found = Ratio.Of(tuned.Value, tuned.Error, start.Value, start.Error);
            row.Expect("fr_percent", found.ForgettingPercent);
            row.Expect("se_percent", found.ForgettingErrorPercent);
            row.Expect("ci95_percent", found.ForgettingInterval());
        }
    }

    [Theory]
    [InlineData("delta_A", 6146, 6103, 10042)]
    [InlineData("delta_K", 47, 34, 100)]
    public void PublishedDifferences(string name, long k1, long k2, long n)
    {
        var row = StatisticsFixture.Read("published").GetProperty("differences").GetProperty(name);
        var found = new TwoProportions(k1, n, k2, n);
        var error = found.StandardErrorSample!.Value;
        row.Expect("difference_percent", 100 * found.Difference);
        row.Expect("se_percent", 100 * error);
        row.Expect("ci95_percent", 100 * Interval.Around(found.Difference, Distributions.Z95 * error));
        row.Expect("z", found.Difference / error);
        row.Expect("p_two_sided", Distributions.NormalTwoSided(found.Difference / error));
        // The most discordant items with which the same net difference would still have p < 0.05.
        var net = k1 - k2;
        row.Whole("net_items").ShouldBe(net);
        Most(c => TTest.FromDiscordant(net + c, c, n).P!.Value)
            .ShouldBe(row.Whole("most_discordant_items_for_paired_t_p_below_05"));
        Most(c => new McNemar(net + c, c).PExact)
            .ShouldBe(row.Whole("most_discordant_items_for_exact_mcnemar_p_below_05"));

        long Most(Func<long, double> p)
        {
            long c = 0;
            while (p(c + 1) < 0.05)
            {
                c++;
            }
            return net + (2 * c);
        }
    }

    private static void Same(JsonElement row, string key, double[] found)
    {
        var expected = row.Numbers(key);
        found.Length.ShouldBe(expected.Length);
        for (var i = 0; i < found.Length; i++)
        {
            StatisticsFixture.Near(found[i], expected[i], $"{key}[{i}]");
        }
    }

    private static bool[] Flags(JsonElement row, string key) =>
        [.. row.GetProperty(key).EnumerateArray().Select(value => value.GetBoolean())];
}
