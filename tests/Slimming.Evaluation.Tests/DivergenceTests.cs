using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Statistics;
using Slimming.Gguf;
using Slimming.LlamaCpp;
using Slimming.TestSupport;

namespace Slimming.Evaluation.Tests;

/// <summary>Distances between two models' predictions against their definition, written out in f64.</summary>
public sealed class DivergenceTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(312)]
    [InlineData(4099)]
    public void OneRowIsTheSumOverTheVocabulary(int vocabulary)
    {
        var random = new Random(vocabulary);
        foreach (var spread in new[] { 0.001, 0.1, 3 })
        {
            float[] p = [.. Enumerable.Range(0, vocabulary).Select(_ => (float)(8 * random.NextDouble()) - 20)];
            float[] q = [.. p.Select(logit => logit + (float)(spread * (random.NextDouble() - 0.5)))];
            var found = ModelDivergence.Between(p, q);
            var expected = Direct(p, q);
            found.Kl.ShouldBe(expected.Kl, 1e-13 + (1e-9 * expected.Kl), $"{vocabulary} {spread}");
            found.SameTop.ShouldBe(expected.SameTop);
            ModelDivergence.Between(p, p).ShouldBe(new TokenDivergence(0, true));
        }
    }

    [Fact]
    public void ANanIsNotHidden()
    {
        var p = new float[40];
        foreach (var place in new[] { 0, 20, 39 })
        {
            float[] q = [.. p];
            q[place] = float.NaN;
            ModelDivergence.Between(p, q).Kl.ShouldBe(double.NaN);
            ModelDivergence.Between(q, p).Kl.ShouldBe(double.NaN);
        }
    }

    [Fact]
    public void TokensOfTwoModelsAreThoseOfTheirOwnLogits()
    {
        using var model = Open("model-q4_0.gguf");
        using var reference = Open("model-f32.gguf");
        using var divergence = ModelDivergence.Open(reference.Options, model);
        var random = new Random(3);
        // The longer text first: the shorter one then runs in a larger context.
        foreach (var length in new[] { 300, 40 })
        {
            int[] tokens = [.. Enumerable.Range(0, length).Select(_ => random.Next(300))];
            var found = divergence.Compare(tokens, TestContext.Current.CancellationToken);
            var (p, q) = (Logits(reference, tokens), Logits(model, tokens));
            found.Length.ShouldBe(length);
            for (var i = 0; i < length; i++)
            {
                var expected = Direct(p[i], q[i]);
                found[i].Kl.ShouldBe(expected.Kl, 1e-13 + (1e-9 * expected.Kl), $"token {i}");
                found[i].SameTop.ShouldBe(expected.SameTop, $"token {i}");
            }
            found.Average(token => token.Kl).ShouldBeGreaterThan(1e-5);
        }
    }

    [Fact]
    public void AModelIsAtNoDistanceFromItself()
    {
        using var model = Open("model-q8_0.gguf");
        using var divergence = ModelDivergence.Open(model.Options, model);
        divergence.Compare([1, 2, 3, 4, 5, 6]).ShouldAllBe(token => token.Kl == 0 && token.SameTop);
    }

    [Fact]
    public void AnotherVocabularyIsRefusedByName()
    {
        using var model = Open("model-f32.gguf");
        var other = Path.Combine(SharedFiles.RepoRoot, "scripts/demo/model.gguf");
        var error = Should.Throw<SlimmingException>(() =>
            ModelDivergence.Open(new LlamaEngineOptions { Model = other }, model)
        );
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain("vocabulary");
    }

    [Fact]
    public void APercentileOfClusteredValuesHasAnIntervalOverTheClusters()
    {
        // 20 units of 50: unit k has the values 50k+1 .. 50k+50, so that the 99th percentile lies in the last unit alone.
        List<double[]> apart =
        [
            .. Enumerable.Range(0, 20).Select(k => Enumerable.Range((50 * k) + 1, 50).Select(x => (double)x).ToArray()),
        ];
        var found = ClusteredQuantile.Of(apart, 0.99);
        found.Value.ShouldBe(990.01, 1e-9);
        // Every unit but the last has all of its values below: shares 1 (19 times) and 0.8, error sqrt(20/19 sum (50 (s - 0.99))^2) / 1000.
        var error = Math.Sqrt(20 / 19.0 * 2500 * ((19 * 0.01 * 0.01) + (0.19 * 0.19))) / 1000;
        var half = Distributions.StudentHalfWidth(0.95, 19) * error;
        found.Interval!.Value.Low.ShouldBe(1 + (999 * (0.99 - half)), 1e-9);
        found.Interval!.Value.High.ShouldBe(1000);
        // Spread evenly over the units, the same values are known much better.
        List<double[]> mixed =
        [
            .. Enumerable.Range(0, 20).Select(k => Enumerable.Range(0, 50).Select(x => (20.0 * x) + k + 1).ToArray()),
        ];
        var even = ClusteredQuantile.Of(mixed, 0.99);
        even.Value.ShouldBe(990.01, 1e-9);
        even.Interval!.Value.Low.ShouldBeGreaterThan(found.Interval!.Value.Low);
        ClusteredQuantile.Of([apart[0]], 0.99).Interval.ShouldBeNull();
        ClusteredQuantile
            .Of(
                [
                    [7.0],
                    [7.0],
                ],
                0.99
            )
            .ShouldBe(new ClusteredQuantile(7, null));
    }

    private static LlamaEngine Open(string name) =>
        LlamaEngine.Open(
            new LlamaEngineOptions
            {
                Model = Path.Combine(SharedFiles.RepoRoot, "tests/fixtures/arch-llama", name),
                Threads = 1,
            }
        );

    private static float[][] Logits(LlamaEngine engine, int[] tokens)
    {
        using var context = engine.NewContext(512, 1, unified: true);
        var batch = new LlamaBatch();
        for (var i = 0; i < tokens.Length; i++)
        {
            batch.Add(tokens[i], i, [0], output: true);
        }
        context.Decode(batch, TestContext.Current.CancellationToken);
        return [.. tokens.Select((_, i) => context.Logits(i).ToArray())];
    }

    private static (double Kl, bool SameTop) Direct(float[] reference, float[] model)
    {
        var (p, q) = (LogProbs(reference), LogProbs(model));
        var kl = p.Zip(q, (a, b) => Math.Exp(a) * (a - b)).Sum();
        return (kl, Array.IndexOf(p, p.Max()) == Array.IndexOf(q, q.Max()));
    }

    private static double[] LogProbs(float[] logits)
    {
        var max = logits.Max(logit => (double)logit);
        var sum = max + Math.Log(logits.Sum(logit => Math.Exp(logit - max)));
        return [.. logits.Select(logit => logit - sum)];
    }
}
