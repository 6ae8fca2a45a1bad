using Slimming.Evaluation.Statistics;

namespace Slimming.Evaluation.Tests.Statistics;

/// <summary>Cases small enough to work out by hand; they need no reference file.</summary>
public sealed class HandCheckedTests
{
    [Fact]
    public void StandardErrorsArePublishedOnes()
    {
        // METHODS.md section 10: SE(442/1319) = 1.300 %, SE(49/1319) = 0.521 %, SE(47/100) = 5.016 %.
        Means.StandardError(Ones(442, 1319))!.Value.ShouldBe(0.01300, 5e-6);
        Means.StandardError(Ones(49, 1319))!.Value.ShouldBe(0.00521, 5e-6);
        Means.StandardError(Ones(47, 100))!.Value.ShouldBe(0.05016, 5e-6);
        Proportions.StandardError(47, 100)!.Value.ShouldBe(Means.StandardError(Ones(47, 100))!.Value, 1e-15);
        Means.StandardError([1]).ShouldBeNull();
        // There too: the error of 47 % less 34 % of 100 items is 6.916 points; FR 88.914 +- 1.613.
        new TwoProportions(47, 100, 34, 100).StandardErrorSample!.Value.ShouldBe(0.06916, 5e-6);
        var ratio = Ratio.Of(
            49 / 1319.0,
            Proportions.StandardError(49, 1319)!.Value,
            442 / 1319.0,
            Proportions.StandardError(442, 1319)!.Value
        );
        ratio.ForgettingPercent.ShouldBe(88.914, 5e-4);
        ratio.ForgettingErrorPercent.ShouldBe(1.613, 5e-4);
    }

    /// <summary>With one and two degrees of freedom the tail has closed forms.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1e-8)]
    [InlineData(3e-4)]
    [InlineData(0.999)]
    [InlineData(1.001)]
    [InlineData(40)]
    [InlineData(-1e-6)]
    [InlineData(-7)]
    public void TailsOfStudentKeepTheirDigits(double t)
    {
        Distributions.StudentTail(t, 1).ShouldBe(0.5 - (Math.Atan(t) / Math.PI), 1e-14);
        Distributions.StudentTail(t, 2).ShouldBe(0.5 - (t / 2 / Math.Sqrt(2 + (t * t))), 1e-14);
    }

    [Fact]
    public void ExactTestCountsCoins()
    {
        // Of 6 discordant items all for one model: 2 / 2^6. 1 of 6: 2 (1 + 6) / 64.
        new McNemar(6, 0).PExact.ShouldBe(2 / 64.0, 1e-15);
        new McNemar(1, 5).PExact.ShouldBe(14 / 64.0, 1e-15);
        new McNemar(1, 5).PMid.ShouldBe((14 - 6) / 64.0, 1e-14);
        new McNemar(5, 1).PExact.ShouldBe(new McNemar(1, 5).PExact);
        new McNemar(0, 0).PExact.ShouldBe(1);
        new McNemar(0, 0).ChiSquared.ShouldBeNull();
    }

    [Fact]
    public void SignFlipOfOneSignHasTwoExtremeVectors()
    {
        SignFlip.Exact([1, 1, 1, 1]).TwoSided.ShouldBe(2 / 16.0);
        SignFlip.Exact([1, 1, 1, 1]).Greater.ShouldBe(1 / 16.0);
        Should.Throw<ArgumentOutOfRangeException>(() => SignFlip.Exact(Ones(1, SignFlip.MostExact + 1)));
    }

    [Fact]
    public void HolmStepsDown()
    {
        Multiplicity.Holm([0.01, 0.04, 0.03]).ShouldBe([0.03, 0.06, 0.06]);
        Multiplicity.Bonferroni([0.01, 0.04, 0.5]).ShouldBe([0.03, 0.12, 1], 1e-15);
        Multiplicity.Holm([]).ShouldBeEmpty();
    }

    [Fact]
    public void ClustersOfOneItemChangeNothingAndCopiesAddNothing()
    {
        double[] d = [1, 0, -1, 1, 0, 0, 1, -1];
        var plain = new WeightedMean(d, Ones(d.Length, d.Length));
        var alone = WeightedMean.Of(d, clusters: [.. d.Select((_, i) => $"text {i}")]);
        alone.StandardError.ShouldBe(plain.StandardError);
        // Every item four times: four times the items, but no more known than before.
        double[] copies = [.. d.SelectMany(value => Enumerable.Repeat(value, 4))];
        string[] texts = [.. d.SelectMany((_, i) => Enumerable.Repeat($"text {i}", 4))];
        var clustered = WeightedMean.Of(copies, clusters: texts);
        clustered.Units.ShouldBe(8);
        clustered.Value.ShouldBe(plain.Value);
        clustered.StandardError!.Value.ShouldBe(plain.StandardError!.Value, 1e-15);
        new WeightedMean(copies, Ones(32, 32)).StandardError!.Value.ShouldBeLessThan(0.55 * plain.StandardError.Value);
    }

    [Fact]
    public void NothingIsPrintedWhereNothingIsDefined()
    {
        var equal = TTest.Paired([1, 2, 3], [1, 2, 3]);
        (equal.T, equal.P, equal.Interval()).ShouldBe((null, null, null));
        var constant = TTest.Paired([0.3, 0.4, 0.5], [0.2, 0.3, 0.4]);
        constant.T.ShouldBeNull();
        Equivalence.Of(equal, -0.1, 0.1).ShouldBeNull();
        new WeightedMean([1], [1]).StandardError.ShouldBeNull();
        Correlation.Pearson([1, 1, 1], [1, 2, 3]).ShouldBeNull();
        Ratio.OfPaired([1, 0], [0, 0]).ShouldBeNull();
    }

    [Fact]
    public void ItemsThatAllStayedTheSameAreEvidenceByTheirNumber()
    {
        // With 2 % changed items, none among 100 has probability 0.98^100 = 0.1326; among 150, 0.0483.
        Equivalence.OfUnchanged(100, -0.02, 0.02).P.ShouldBe(0.13262, 5e-6);
        Equivalence.OfUnchanged(150, -0.02, 0.02).P.ShouldBe(0.04830, 5e-6);
    }

    [Fact]
    public void BootstrapIsRepeatableAndCoversItsEstimate()
    {
        double[] d = [.. Enumerable.Range(0, 60).Select(i => (double)((i * 7 % 5) - 2) / 2)];
        var sample = new WeightedMean(d, Ones(60, 60));
        var first = PairedBootstrap.Draw(sample, 2000, seed: 1);
        var again = PairedBootstrap.Draw(sample, 2000, seed: 1);
        var other = PairedBootstrap.Draw(sample, 2000, seed: 2);
        again.Bca().ShouldBe(first.Bca());
        other.StandardError.ShouldNotBe(first.StandardError);
        first.StandardError.ShouldBe(sample.StandardError!.Value, 0.05 * sample.StandardError.Value);
        first.Bca().Low.ShouldBeLessThan(sample.Value);
        first.Bca().High.ShouldBeGreaterThan(sample.Value);
        // Without any spread there is one mean, and no bias or acceleration to correct by.
        PairedBootstrap.Draw(new WeightedMean([0, 0, 0], [1, 1, 1]), 100, 1).Bca().ShouldBe(new Interval(0, 0));
    }

    private static double[] Ones(int ones, int n) => [.. Enumerable.Range(0, n).Select(i => i < ones ? 1.0 : 0.0)];

    [Fact]
    public void CalibrationErrorIsTheMeanGapOfBins()
    {
        // Ten answers of 0.55, six right; ten of 0.95, five right; gaps 0.05 and 0.45.
        Answered[] answers =
        [
            .. Enumerable.Range(0, 10).Select(i => new Answered(0.55, i < 6)),
            .. Enumerable.Range(0, 10).Select(i => new Answered(0.95, i < 5)),
        ];
        var found = Calibration.Of(answers);
        found.Error.ShouldBe((0.05 + 0.45) / 2, 1e-12);
        found.Confidence.ShouldBe(0.75, 1e-12);
        found.Accuracy.ShouldBe(0.55, 1e-12);
        found.Bins.Select(bin => (bin.Low, bin.Count, bin.Accuracy)).ShouldBe([(0.5, 10, 0.6), (0.9, 10, 0.5)]);
        found.Bins[1].Interval.ShouldBe(Proportions.Wilson(5, 10));
        found.Interval.Low.ShouldBeInRange(0.01, 0.2);
        found.Interval.High.ShouldBeInRange(0.3, 0.5);
        // E|X/10 - 0.55| of Binomial(10, 0.55) and the same of 0.95, halved.
        double Gap(double p) =>
            Enumerable
                .Range(0, 11)
                .Sum(k => MathNet.Numerics.Distributions.Binomial.PMF(p, 10, k) * Math.Abs((k / 10.0) - p));
        found.Chance.ShouldBe((Gap(0.55) + Gap(0.95)) / 2, 0.01);
        // Confidence 1 belongs to the last bin.
        Calibration.Of([new Answered(1, true)]).Bins.Single().High.ShouldBe(1);
        Calibration.ConfidenceOf([Math.Log(0.2), Math.Log(0.6)]).ShouldBe(0.75, 1e-12);
        Should.Throw<ArgumentException>(() => Calibration.Of([new Answered(double.NaN, true)]));
    }

    [Fact]
    public void CalibrationIntervalsCoverTheTruth()
    {
        // True error 0.1: answers of 0.7 confidence are right in 60 %, those of 0.9 in 80 %.
        var random = new Random(11);
        var covered = 0;
        for (var draw = 0; draw < 200; draw++)
        {
            Answered[] answers =
            [
                .. Enumerable
                    .Range(0, 400)
                    .Select(i =>
                        i % 2 == 0
                            ? new Answered(0.7, random.NextDouble() < 0.6)
                            : new Answered(0.9, random.NextDouble() < 0.8)
                    ),
            ];
            var interval = Calibration.Of(answers, resamples: 200, seed: draw).Interval;
            covered += interval.Low <= 0.1 && 0.1 <= interval.High ? 1 : 0;
        }
        covered.ShouldBeInRange(180, 198);
    }
}
