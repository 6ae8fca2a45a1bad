using Slimming.Gguf;
using Slimming.Training.Data;

namespace Slimming.Training.Tests.Data;

public sealed class MixtureTests : DataFolder
{
    private static readonly ByteTokenizer s_bytes = new();

    [Fact]
    public void WeightsStandBehindTheLastColon()
    {
        var odd = Write("a:0.5", "{\"text\":\"a\"}");
        DataSource
            .ParseAll(["x.json:0.8", "y/*.csv:2", "C:\\z:.5"])
            .ShouldBe([new("x.json", 0.8), new("y/*.csv", 2), new("C:\\z", 0.5)]);
        DataSource
            .ParseAll(["x.json", "C:\\y.json", "z:a", odd])
            .ShouldBe([new("x.json", null), new("C:\\y.json", null), new("z:a", null), new(odd, null)]);
        DataSource.ParseAll([odd + ":3"]).ShouldBe([new(odd, 3)]);
    }

    [Theory]
    [InlineData("a.json:0", "a.json:0: expected a weight above 0 behind the last colon, found '0'")]
    [InlineData("a.json:-1", "found '-1'")]
    [InlineData("a.json:NaN", "found 'NaN'")]
    [InlineData("a.json:1e999", "found '1e999'")]
    [InlineData("a.json", "--data a.json: has no weight, others have one")]
    public void AWrongWeightIsRefused(string first, string expected)
    {
        var error = Should.Throw<SlimmingException>(() => DataSource.ParseAll([first, "b.json:1"]));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain(expected);
    }

    [Theory]
    [InlineData(new[] { 0.8, 0.2 }, new[] { 100, 1000 }, new[] { 100, 25 })]
    [InlineData(new[] { 8.0, 2.0 }, new[] { 100, 10 }, new[] { 40, 10 })]
    [InlineData(new[] { 0.9, 0.1 }, new[] { 27, 30 }, new[] { 27, 3 })]
    [InlineData(new[] { 1.0, 1.0, 2.0 }, new[] { 5, 50, 7 }, new[] { 3, 3, 7 })]
    [InlineData(new[] { 1e6, 1.0 }, new[] { 5, 5 }, new[] { 5, 1 })]
    public void AnEpochIsAsLongAsTheWeightsAllow(double[] weights, int[] samples, int[] drawn)
    {
        var mixture = Of(weights, samples);
        mixture.Mix.Drawn.ShouldBe(drawn.Select(n => (long)n));
        mixture.Mix.Available.ShouldBe(samples.Select(n => (long)n));
        mixture.Mix.Shares.Sum().ShouldBe(1, 1e-12);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void NoSampleComesTwiceBeforeAllCameOnce(bool shuffle)
    {
        int[] samples = [30, 23];
        var mixture = Of([3, 1], samples);
        mixture.Mix.Drawn.ShouldBe([30, 10]);
        var epochs = Enumerable.Range(0, 46).Select(epoch => mixture.Epoch(epoch, 5, shuffle)).ToArray();
        foreach (var epoch in epochs)
        {
            epoch.Count(i => i < 30).ShouldBe(30);
            epoch.Distinct().Count(i => i >= 30).ShouldBe(epoch.Count(i => i >= 30));
        }
        // 46 x 10 draws of 23.
        epochs.SelectMany(e => e).Where(i => i >= 30).GroupBy(i => i).ShouldAllBe(g => g.Count() == 20);
        epochs[0].Concat(epochs[1]).Where(i => i >= 30).Distinct().Count().ShouldBe(20);
        mixture.Epoch(3, 5, shuffle).ShouldBe(epochs[3]);
        epochs[0].SequenceEqual(epochs[1].Order()).ShouldBeFalse();
        epochs[0].SequenceEqual(epochs[0].Order()).ShouldBe(!shuffle);
    }

    [Fact]
    public void StepsAreCountedFromTheMix()
    {
        var mixture = Of([0.8, 0.2], [80, 500]);
        TrainOptions options = new()
        {
            Model = "m",
            Data = ["d"],
            Out = "o",
            Epochs = 3,
        };
        var lengths = Enumerable.Range(0, 580).Select(i => 1 + (i % 9)).ToArray();
        new StepPlanner(lengths, options, mixture).TotalSteps.ShouldBe(75);
        StepPlanner packed = new(
            lengths,
            options with
            {
                Packing = true,
                Shuffle = false,
                MaxLength = 20,
                BatchSize = 1,
            },
            mixture
        );
        packed.TotalSteps.ShouldBe(Enumerable.Range(0, 3).Sum(epoch => packed.Epoch(epoch).Count));
    }

    [Fact]
    public void FilesAreMixedAndASourceWithoutSamplesIsRefused()
    {
        var a = WriteRows("a.jsonl", [.. Enumerable.Range(0, 8).Select(i => new { text = $"a{i}" })]);
        var b = WriteRows("b.jsonl", [.. Enumerable.Range(0, 50).Select(i => new { text = $"b{i}" })]);
        DataOptions options = new() { Files = [$"{a}:0.8", $"{b}:0.2"] };
        var set = SampleSet.Load(options, s_bytes, null);
        set.Files.ShouldBe([a, b]);
        set.Samples.Count.ShouldBe(58);
        set.Mixture.ShouldNotBeNull().Mix.Drawn.ShouldBe([8, 2]);
        set.Mixture.Epoch(0, 1, true).Select(i => set.Samples[i].Part).Order().ShouldBe([0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        SampleSet.Load(options with { Files = [a, b] }, s_bytes, null).Mixture.ShouldBeNull();
        Should
            .Throw<SlimmingException>(() => SampleSet.Load(options with { Where = "text LIKE 'a%'" }, s_bytes, null))
            .Message.ShouldContain($"{b}: no sample is left of it");
    }

    private static Mixture Of(double[] weights, int[] samples) =>
        new(weights, [.. samples.SelectMany((count, part) => Enumerable.Repeat(part, count))]);
}
