using System.Text.Json;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.TestSupport;

namespace Slimming.Evaluation.Tests;

/// <summary>libllama behind the seam: likelihoods and texts against the reference programs, and against itself.</summary>
public sealed class LlamaEngineTests
{
    private const string Tiny = "tests/fixtures/arch-llama/model-f32.gguf";

    [Fact]
    public void F32WeightsGiveTheReferenceLikelihoodsAndTexts()
    {
        var source = SharedFiles.Require("models/SmolLM2-135M-Instruct.Q4_1.gguf");
        var copy = Path.Combine(Path.GetTempPath(), $"slimming-{Guid.NewGuid():N}.gguf");
        try
        {
            F32Copy.Write(source, copy);
            using var engine = LlamaEngine.Open(new LlamaEngineOptions { Model = copy, Threads = 1 });
            foreach (var (task, count) in new[] { ("hellaswag", 2), ("winogrande", 3), ("openbookqa", 3) })
            {
                Likelihoods(engine, task, count);
            }
            Decoding(engine);
        }
        finally
        {
            File.Delete(copy);
        }
    }

    [Fact]
    public void SharedAndLongPassesChangeNoAnswer()
    {
        using var engine = Open(Tiny);
        var random = new Random(1);
        var prefix = Tokens(random, 100);
        // Alone, sharing a prefix, repeated, and with many outputs.
        List<ScoreRequest> requests =
        [
            new(prefix, Tokens(random, 3)),
            new(prefix, Tokens(random, 5)),
            new([.. prefix, 7], Tokens(random, 2)),
            new(Tokens(random, 9), Tokens(random, 4)),
            new(prefix, Tokens(random, 1)),
            new(Tokens(random, 1), Tokens(random, 500)),
        ];
        requests.Add(requests[0]);
        var together = engine.Score(requests);
        together.Count.ShouldBe(requests.Count);
        for (var i = 0; i < requests.Count; i++)
        {
            var alone = engine.Score([requests[i]]).Single();
            together[i]
                .LogLikelihood.ShouldBe(alone.LogLikelihood, 1e-4 * requests[i].Continuation.Length, $"request {i}");
            together[i].Greedy.ShouldBe(alone.Greedy);
        }
    }

    [Fact]
    public void AHeaderIsComputedOnceAndChangesNoAnswer()
    {
        using var engine = Open(Tiny);
        using var other = Open(Tiny);
        var random = new Random(4);
        var header = Tokens(random, 90);
        List<ScoreRequest> requests =
        [
            new([.. header, 5], Tokens(random, 3)),
            new([.. header, 5, 6], [7]),
            // The same tokens as another request but for the last; all of the header; a part of it; nothing of it.
            new([.. header, 5, 6], [8]),
            new(header, Tokens(random, 2)),
            new(header[..40], Tokens(random, 2)),
            new(Tokens(random, 12), Tokens(random, 2)),
            new([.. header, .. Tokens(random, 600)], Tokens(random, 4)),
        ];
        other.ShareHeader(header);
        for (var round = 0; round < 2; round++)
        {
            var shared = other.Score(requests);
            for (var i = 0; i < requests.Count; i++)
            {
                var alone = engine.Score([requests[i]]).Single();
                shared[i].LogLikelihood.ShouldBe(alone.LogLikelihood, 1e-4 * requests[i].Continuation.Length, $"{i}");
                shared[i].Greedy.ShouldBe(alone.Greedy);
            }
        }
    }

    [Theory]
    [InlineData("gemma2")]
    [InlineData("gemma3")]
    [InlineData("qwen3")]
    public void HeadersAndStreamsWorkOnOtherArchitectures(string architecture)
    {
        // Sliding windows keep keys and values in a cache of their own.
        var path = SharedFiles.Require($"fixtures/arch/{architecture}/model-f32.gguf");
        using var engine = LlamaEngine.Open(new LlamaEngineOptions { Model = path, Threads = 1 });
        using var other = LlamaEngine.Open(new LlamaEngineOptions { Model = path, Threads = 1 });
        var random = new Random(6);
        var header = Tokens(random, 40);
        List<ScoreRequest> requests =
        [
            .. Enumerable.Range(1, 5).Select(i => new ScoreRequest([.. header, .. Tokens(random, i)], [3, 4])),
        ];
        other.ShareHeader(header);
        var shared = other.Score(requests);
        List<GenerationRequest> prompts =
        [
            .. requests.Select(r => new GenerationRequest(r.Context, 3 + r.Context[^1] % 5, [])),
        ];
        var texts = other.Generate(prompts);
        for (var i = 0; i < requests.Count; i++)
        {
            shared[i].LogLikelihood.ShouldBe(engine.Score([requests[i]]).Single().LogLikelihood, 1e-4);
            texts[i].Tokens.ShouldBe(engine.Generate([prompts[i]]).Single().Tokens);
        }
    }

    [Fact]
    public void EqualCallsGiveEqualBitsWhateverCameBefore()
    {
        using var engine = Open(Tiny);
        using var fresh = Open(Tiny);
        var random = new Random(5);
        var header = Tokens(random, 70);
        List<ScoreRequest> Batch(int count) =>
            [.. Enumerable.Range(0, count).Select(_ => new ScoreRequest([.. header, .. Tokens(random, 9)], [3, 4]))];
        List<GenerationRequest> Prompts(int count) =>
            [
                .. Enumerable
                    .Range(1, count)
                    .Select(i => new GenerationRequest([.. header, .. Tokens(random, i)], 9 + i, [])),
            ];
        engine.ShareHeader(header);
        fresh.ShareHeader(header);
        engine.Score(Batch(40));
        engine.Generate(Prompts(5));
        engine.Score(Batch(70));
        var asked = Batch(33);
        engine.Score(asked).ShouldBe(fresh.Score(asked));
        engine.Generate(Prompts(20));
        var prompts = Prompts(18);
        var answers = engine.Generate(prompts);
        answers.Select(answer => answer.Text).ShouldBe(fresh.Generate(prompts).Select(answer => answer.Text));
        for (var i = 0; i < prompts.Count; i++)
        {
            fresh.ShareHeader([]);
            answers[i].Tokens.ShouldBe(fresh.Generate([prompts[i]]).Single().Tokens);
        }
    }

    [Fact]
    public void RollingWindowsScoreEveryTokenOnce()
    {
        var tokens = Enumerable.Range(0, 23).ToArray();
        var windows = PerplexityScorer.RollingWindows(tokens, prefix: 99, length: 10).ToList();
        windows.SelectMany(window => window.Continuation).ShouldBe(tokens);
        windows[0].Context.ShouldBe([99]);
        windows[1].Context.ShouldBe([9]);
        // The last window is filled up to length with what came before.
        windows[2].Context.ShouldBe(Enumerable.Range(12, 8));
        windows.ShouldAllBe(window => window.Context.Length + window.Continuation.Length == 11);
    }

    [Fact]
    public void AnOverlongInputLosesItsOldestTokens()
    {
        using var engine = Open(Tiny);
        var random = new Random(2);
        var context = Tokens(random, engine.MaxLength + 40);
        var continuation = Tokens(random, 3);
        var cut = engine.Score([new ScoreRequest(context, continuation)]).Single();
        cut.Truncated.ShouldBeTrue();
        var kept = engine.Score([new ScoreRequest(context[^(engine.MaxLength - 2)..], continuation)]).Single();
        kept.Truncated.ShouldBeFalse();
        cut.LogLikelihood.ShouldBe(kept.LogLikelihood, 1e-9);
        Should.Throw<SlimmingException>(() =>
            engine.Score([new ScoreRequest([1], Tokens(random, engine.MaxLength + 1))])
        );
    }

    [Fact]
    public void SeveralPromptsTogetherGiveTheTextsOfEachAlone()
    {
        using var engine = Open(Tiny);
        var random = new Random(3);
        var requests = Enumerable
            .Range(0, 10)
            .Select(i => new GenerationRequest(Tokens(random, 5 + (7 * i)), 12, []))
            .ToList();
        var together = engine.Generate(requests);
        for (var i = 0; i < requests.Count; i++)
        {
            together[i].Tokens.ShouldBe(engine.Generate([requests[i]]).Single().Tokens);
        }
    }

    [Fact]
    public void StopsCutTheText()
    {
        using var engine = Open(Tiny);
        int[] prompt = [312, 91, 90, 25, 180];
        var free = engine.Generate([new GenerationRequest(prompt, 24, [])]).Single();
        var stop = free.Text[(free.Text.Length / 2)..][..2];
        var cut = engine.Generate([new GenerationRequest(prompt, 24, [stop])]).Single();
        cut.Text.ShouldBe(free.Text[..free.Text.IndexOf(stop, StringComparison.Ordinal)]);
        cut.Tokens.Length.ShouldBeLessThan(free.Tokens.Length);
    }

    [Fact]
    public void TheBeamsAreTheBestOfAllPathsWhenWideEnough()
    {
        // Two new tokens and many beams: the first beam must be the best of all pairs, found here by scoring them all.
        using var engine = Open(Tiny);
        int[] prompt = [312, 91, 90];
        var first = engine.Score([.. Enumerable.Range(0, 320).Select(token => new ScoreRequest(prompt, [token]))]);
        var firsts = Enumerable.Range(0, 320).OrderByDescending(token => first[token].LogLikelihood).Take(8).ToList();
        var pairs = firsts
            .SelectMany(a => Enumerable.Range(0, 320).Select(b => (A: a, B: b)))
            .Where(pair => !engine.Codec.EndsAnswer(pair.A))
            .ToList();
        var scores = engine.Score([.. pairs.Select(pair => new ScoreRequest(prompt, [pair.A, pair.B]))]);
        var best = Enumerable.Range(0, pairs.Count).MaxBy(i => scores[i].LogLikelihood);
        var beams = new BeamSearch(engine, 8).Search(prompt, 2);
        beams.Count.ShouldBe(8);
        var two = beams.Where(beam => beam.Tokens.Length == 2).MaxBy(beam => beam.SumLogProb)!;
        two.Tokens.ShouldBe([pairs[best].A, pairs[best].B]);
        two.SumLogProb.ShouldBe(scores[best].LogLikelihood, 1e-4);
        beams.Select(beam => beam.Score).ShouldBeInOrder(SortDirection.Descending);
    }

    [Fact]
    public void OneBeamIsGreedyAndASeedRepeatsItsDraws()
    {
        using var engine = Open(Tiny);
        int[] prompt = [312, 91, 90, 25, 180];
        var generator = new TextGenerator(engine);
        var pieces = "";
        var greedy = generator.Generate(prompt, new GenerateOptions { MaxTokens = 10 }, piece => pieces += piece);
        pieces.ShouldBe(greedy.Text);
        new BeamSearch(engine, 1).Search(prompt, 10).Single().Tokens.ShouldBe(greedy.Tokens);
        var drawn = Enumerable
            .Range(0, 3)
            .Select(i =>
                generator
                    .Generate(
                        prompt,
                        new GenerateOptions
                        {
                            MaxTokens = 10,
                            Temperature = 1,
                            Seed = i == 2 ? 8u : 7u,
                        }
                    )
                    .Tokens
            )
            .ToList();
        drawn[0].ShouldBe(drawn[1]);
        drawn[2].ShouldNotBe(drawn[0]);
        Should.Throw<SlimmingException>(() =>
            generator.Generate(prompt, new GenerateOptions { MaxTokens = engine.MaxLength })
        );
    }

    private static LlamaEngine Open(string path) =>
        LlamaEngine.Open(new LlamaEngineOptions { Model = Path.Combine(SharedFiles.RepoRoot, path), Threads = 1 });

    private static int[] Tokens(Random random, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => random.Next(0, 300))];

    /// <summary>Tolerance of fixtures/harness for F32 weights, F32 cache, no flash attention: 0.002.</summary>
    private static void Likelihoods(LlamaEngine engine, string name, int count)
    {
        var rows = File.ReadLines(SharedFiles.Require($"fixtures/harness/{name}.jsonl")).Take(count).ToList();
        var task = TaskCatalog.Find(name);
        var items = new ItemBuilder(task, SharedFiles.Require("data")).Build(0, count).ToList();
        var scored = new ItemScorer(task, engine, addBos: false, maxGenTokens: 1).Score(
            items,
            TestContext.Current.CancellationToken
        );
        for (var i = 0; i < count; i++)
        {
            using var row = JsonDocument.Parse(rows[i]);
            var expected = row.RootElement.GetProperty("ll").EnumerateArray().Select(ll => ll.GetDouble()).ToList();
            for (var choice = 0; choice < expected.Count; choice++)
            {
                scored[i].ChoiceLogprobs![choice].ShouldBe(expected[choice], 0.002, $"{name} doc {i} choice {choice}");
            }
            scored[i].Acc.ShouldBe(row.RootElement.GetProperty("acc").GetDouble());
            scored[i]
                .Greedy.ShouldBe(
                    row.RootElement.GetProperty("greedy").EnumerateArray().Select(greedy => greedy.GetBoolean())
                );
        }
    }

    private static void Decoding(LlamaEngine engine)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(SharedFiles.Require("fixtures/decoding/cases.json")));
        foreach (
            var sample in json
                .RootElement.GetProperty("cases")
                .EnumerateArray()
                .Where(c => c.GetProperty("id").GetString() is "c01" or "c10")
        )
        {
            DecodingFixtureTests.Check(engine, sample);
        }
    }
}
