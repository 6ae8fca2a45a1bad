using System.Text.Json;
using Slimming.Evaluation.Engine;
using Slimming.TestSupport;

namespace Slimming.Evaluation.Tests;

/// <summary>Every case of fixtures/decoding through libllama on an F32 copy, with the tolerances of its README.</summary>
[Trait("Category", "Slow")]
public sealed class DecodingFixtureTests(F32Model f32) : IClassFixture<F32Model>
{
    [Fact]
    public void GreedyAndBeamsAreTheReferences()
    {
        using var json = JsonDocument.Parse(File.ReadAllText(SharedFiles.Require("fixtures/decoding/cases.json")));
        using var engine = LlamaEngine.Open(new LlamaEngineOptions { Model = f32.Path });
        var cases = json.RootElement.GetProperty("cases").EnumerateArray().ToList();
        cases.Count.ShouldBe(18);
        foreach (var sample in cases)
        {
            Check(engine, sample);
        }
        // The same texts when all run together, as bench generates them.
        var together = engine.Generate([
            .. cases.Select(sample => new GenerationRequest(Ints(sample.GetProperty("prompt_ids")), 48, [])),
        ]);
        for (var i = 0; i < cases.Count; i++)
        {
            together[i].Tokens.ShouldBe(Ints(cases[i].GetProperty("greedy").GetProperty("ids")), $"together, case {i}");
        }
    }

    /// <summary>Prompt tokens, greedy path, log-probabilities and beams of one case.</summary>
    internal static void Check(LlamaEngine engine, JsonElement sample)
    {
        var id = sample.GetProperty("id").GetString();
        var prompt = Ints(sample.GetProperty("prompt_ids"));
        engine.Codec.Tokenize(sample.GetProperty("prompt_text").GetString()!).ShouldBe(prompt, id);
        var greedy = sample.GetProperty("greedy");
        var generation = new TextGenerator(engine).Generate(prompt, new GenerateOptions { MaxTokens = 48 });
        generation.Tokens.ShouldBe(Ints(greedy.GetProperty("ids")), id);
        generation.Text.ShouldBe(greedy.GetProperty("text").GetString(), id);
        generation.StoppedBy.ShouldBe(greedy.GetProperty("stopped_by").GetString(), id);
        var expected = greedy.GetProperty("logprob_of_chosen").EnumerateArray().Select(p => p.GetDouble());
        generation.LogProbs.ShouldBe(expected, 2e-3, id);

        var beam = sample.GetProperty("beam");
        var beams = new BeamSearch(engine, 3).Search(prompt, 32);
        // Where a decision was narrower than this, another f32 program may decide otherwise.
        if (beam.GetProperty("smallest_selection_gap").GetDouble() <= 1e-3)
        {
            return;
        }
        foreach (var (found, wanted) in beams.Zip(beam.GetProperty("beams").EnumerateArray()))
        {
            found.Tokens.ShouldBe(Ints(wanted.GetProperty("ids")), id);
            found.Text.ShouldBe(wanted.GetProperty("text").GetString(), id);
            found.Score.ShouldBe(wanted.GetProperty("score").GetDouble(), 1e-4, id);
        }
    }

    private static int[] Ints(JsonElement value) => [.. value.EnumerateArray().Select(id => id.GetInt32())];
}
