using System.Text.Json;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.TestSupport;

namespace Slimming.Evaluation.Tests;

/// <summary>libslimming as engine: the reference's likelihoods, the layout of its passes, and what it refuses.</summary>
public sealed class NativeEngineTests
{
    private const string Demo = "scripts/demo/model.gguf";

    public static TheoryData<string, int?> Tasks => HarnessLikelihoodTests.Tasks;

    /// <summary>In f32 the library multiplies with the file's own values, so its types cost no accuracy.</summary>
    [Theory]
    [Trait("Category", "Slow")]
    [MemberData(nameof(Tasks))]
    public void TheQuantizedFileInF32GivesTheReferencesLikelihoods(string name, int? shots) =>
        ExpectTight(F32Model.Source, name, shots, HarnessLikelihoodTests.Lines(name));

    [Theory]
    [InlineData("hellaswag", null, 6)]
    [InlineData("winogrande", null, 8)]
    [InlineData("mmlu_college_computer_science", 5, 2)]
    public void TheFirstItemsToo(string name, int? shots, int items) =>
        ExpectTight(F32Model.Source, name, shots, [.. HarnessLikelihoodTests.Lines(name).Take(items)]);

    [Theory]
    [InlineData("bf16")]
    [InlineData("int8")]
    public void RoundedProductsStayWithinWhatServingKernelsMayDiffer(string compute)
    {
        using var engine = Open(SharedFiles.Require(F32Model.Source), compute);
        var lines = HarnessLikelihoodTests.Lines("hellaswag").Take(8).ToList();
        var (rows, scored) = HarnessLikelihoodTests.Score(engine, lines, "hellaswag", null);
        HarnessLikelihoodTests.MeanError(rows, scored).ShouldBeInRange(1e-4, 0.5);
    }

    [Fact]
    public void PackedRequestsGiveTheBitsOfRequestsAlone()
    {
        foreach (var compute in new[] { "f32", "bf16", "int8" })
        {
            using var engine = Open(DemoPath, compute, threads: 1);
            using var threaded = Open(DemoPath, compute, threads: 3);
            var requests = Requests(engine);
            var packed = engine.Score(requests);
            threaded.Score(requests).ShouldBe(packed);
            // Scored alone each is a pass without a parent.
            requests.SelectMany(request => engine.Score([request])).ShouldBe(packed);
            engine.Score([.. requests.AsEnumerable().Reverse()]).Reverse().ShouldBe(packed);
        }
    }

    [Fact]
    public void ItAgreesWithLibllamaOnTheSameF32Weights()
    {
        var copy = Path.Combine(Path.GetTempPath(), $"slimming-{Guid.NewGuid():N}.gguf");
        try
        {
            F32Copy.Write(DemoPath, copy);
            using var engine = Open(copy);
            using var llama = LlamaEngine.Open(new LlamaEngineOptions { Model = copy, Threads = 1 });
            engine.MaxLength.ShouldBe(llama.MaxLength);
            var requests = Requests(engine);
            foreach (var (own, other) in engine.Score(requests).Zip(llama.Score(requests)))
            {
                own.LogLikelihood.ShouldBe(other.LogLikelihood, 0.002);
                own.Greedy.ShouldBe(other.Greedy);
                own.Truncated.ShouldBe(other.Truncated);
            }
        }
        finally
        {
            File.Delete(copy);
        }
    }

    [Fact]
    public void WhatIsTooLongLosesItsOldestTokensAndSaysSo()
    {
        using var engine = Open(DemoPath);
        int[] context = [.. Enumerable.Range(0, engine.MaxLength + 3).Select(i => 5 + (i % 7))];
        var cut = engine.Score([new ScoreRequest(context, [3, 4])]).Single();
        cut.Truncated.ShouldBeTrue();
        // Two tokens are asked about and the last is not fed, so of the context all but one place is left.
        var fits = engine.Score([new ScoreRequest(context[^(engine.MaxLength - 1)..], [3, 4])]).Single();
        (cut.LogLikelihood, fits.Truncated).ShouldBe((fits.LogLikelihood, false));
        Should
            .Throw<SlimmingException>(() => engine.Score([new ScoreRequest([1], new int[engine.MaxLength + 1])]))
            .Message.ShouldContain($"context of {engine.MaxLength}");
    }

    [Fact]
    public void ACancelledCallStopsAndTheNextGoesOn()
    {
        using var engine = Open(DemoPath);
        using var source = new CancellationTokenSource();
        source.Cancel();
        var requests = Requests(engine);
        Should.Throw<OperationCanceledException>(() => engine.Score(requests, source.Token));
        engine.Score(requests).Count.ShouldBe(requests.Count);
    }

    [Fact]
    public void ItGeneratesNothing()
    {
        using var engine = Open(DemoPath);
        Should.Throw<SlimmingException>(() => engine.Generate([])).Message.ShouldContain("libllama");
        engine.Kinds.ShouldNotContain(TaskKind.GenerateUntil);
    }

    private static string DemoPath => Path.Combine(SharedFiles.RepoRoot, Demo);

    private static NativeEngine Open(string model, string compute = "f32", int threads = 2) =>
        NativeEngine.Open(
            new NativeEngineOptions
            {
                Model = model,
                Compute = compute,
                Threads = threads,
            }
        );

    /// <summary>Items that share a header, choices that share beginnings, equal requests, one inside another, strangers.</summary>
    private static List<ScoreRequest> Requests(NativeEngine engine)
    {
        int[] header = engine.Codec.Tokenize("the letters after a b c are b c d. the letters after k l m are l m n.");
        List<ScoreRequest> requests = [];
        foreach (var question in new[] { " the letters after d e f are", " the larger of 3 and 5 is" })
        {
            int[] context = [.. header, .. engine.Codec.Tokenize(question)];
            foreach (var answer in new[] { " e f g", " e f h", " e f g", " e", " 5 and 3 are equal numbers of a kind" })
            {
                requests.Add(new ScoreRequest(context, engine.Codec.Tokenize(answer)));
            }
        }
        requests.Add(new ScoreRequest(header[..3], header[3..]));
        requests.Add(new ScoreRequest([7], [7, 7, 8, 9]));
        return requests;
    }

    private static void ExpectTight(string model, string name, int? shots, List<JsonElement> lines)
    {
        using var engine = Open(SharedFiles.Require(model));
        var (rows, scored) = HarnessLikelihoodTests.Score(engine, lines, name, shots);
        foreach (var (row, item) in rows.Zip(scored))
        {
            var expected = HarnessLikelihoodTests.Doubles(row, "ll");
            for (var choice = 0; choice < expected.Count; choice++)
            {
                item.ChoiceLogprobs![choice]
                    .ShouldBe(expected[choice], HarnessLikelihoodTests.Tight, $"{name} doc {item.Doc} choice {choice}");
            }
        }
    }
}
