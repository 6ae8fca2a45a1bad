using Slimming.Training.Export;

namespace Slimming.Training.Tests.Export;

public class VerificationTests
{
    private static Comparison With(double kl, int differs, int clearly = 0) =>
        new("x", new LogitDistance(256, kl, differs, clearly, 1));

    [Theory]
    [InlineData("Quantized", 3e-3, 9, 3.5e-3, 12, "")]
    [InlineData("Quantized", 2e-2, 9, 2.5e-2, 20, "")]
    [InlineData("Quantized", 2e-2, 9, 3e-2, 20, "warning")]
    [InlineData("Quantized", 2e-2, 9, 0.2, 20, "failure")]
    [InlineData("Quantized", 3e-3, 9, 3e-3, 25, "warning")]
    [InlineData("Quantized", 3e-3, 9, 3e-3, 200, "failure")]
    [InlineData("Quantized", 3e-3, 0, 3e-3, 3, "")]
    [InlineData("Quantized", 3e-3, 9, double.NaN, 0, "failure")]
    [InlineData("Half", 3e-3, 9, 1e-4, 0, "")]
    [InlineData("Half", 1e-9, 0, 0.1, 0, "failure")]
    [InlineData("Exact", 3e-3, 9, 9e-6, 0, "")]
    [InlineData("Exact", 3e-3, 9, 2e-5, 0, "warning")]
    [InlineData("Exact", 3e-3, 9, 1e-4, 0, "failure")]
    public void The_bar_follows_the_base_s_own_noise(
        string precision,
        double baseKl,
        int baseDiffers,
        double kl,
        int differs,
        string expected
    )
    {
        var verdict = Verification.Judge(
            With(baseKl, baseDiffers),
            With(kl, differs),
            null,
            Enum.Parse<WeightPrecision>(precision),
            Enum.Parse<WeightPrecision>(precision)
        );
        (verdict.Warning != null).ShouldBe(expected == "warning");
        (verdict.Failure != null).ShouldBe(expected == "failure");
    }

    [Fact]
    public void An_exact_file_may_swap_near_ties_only()
    {
        Verification
            .Judge(With(0, 0), With(1e-9, 2, 0), null, WeightPrecision.Exact, WeightPrecision.Exact)
            .Warning.ShouldBeNull();
        Verification
            .Judge(With(0, 0), With(1e-9, 2, 1), null, WeightPrecision.Exact, WeightPrecision.Exact)
            .Warning.ShouldNotBeNull();
        Verification
            .Judge(With(0, 0), With(1e-9, 9, 9), null, WeightPrecision.Exact, WeightPrecision.Exact)
            .Failure.ShouldNotBeNull();
    }

    [Fact]
    public void A_base_stored_more_exactly_sets_no_bar_for_a_rounded_file()
    {
        Verification Judge(double kl, int differs) =>
            Verification.Judge(With(0, 0), With(kl, differs), null, WeightPrecision.Exact, WeightPrecision.Quantized);
        Judge(9e-3, 25).Warning.ShouldBeNull();
        Judge(9e-3, 26).Warning.ShouldNotBeNull();
        Judge(9e-3, 150).Failure.ShouldNotBeNull();
        Judge(0.05, 25).Failure.ShouldNotBeNull();
    }

    [Fact]
    public void Distances_are_those_of_the_formulas()
    {
        // Two positions of three logits; the second differs by swapping its two best.
        List<float[]> p =
        [
            [0, 0, 0, 2, 1, 0],
        ];
        List<float[]> q =
        [
            [5, 5, 5, 1, 2, 0],
        ];
        var d = LogitDistance.Between(p, q, 3);
        var z = Math.E * Math.E + Math.E + 1;
        var expected = (Math.E * Math.E - Math.E) / z / 2;
        d.MeanKl.ShouldBe(expected, 1e-7);
        (d.Positions, d.ArgmaxDiffers, d.ArgmaxDiffersClearly, d.MaxAbs).ShouldBe((2, 1, 1, 5.0));
        var tie = LogitDistance.Between(
            [
                [1, 1.001f],
            ],
            [
                [1, 0.999f],
            ],
            2
        );
        (tie.ArgmaxDiffers, tie.ArgmaxDiffersClearly).ShouldBe((1, 0));
        double.IsNaN(
                LogitDistance
                    .Between(
                        [
                            [1, 2],
                        ],
                        [
                            [float.NaN, 2],
                        ],
                        2
                    )
                    .MeanKl
            )
            .ShouldBeTrue();
    }
}
