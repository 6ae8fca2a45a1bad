using System.Globalization;
using System.Text.Json;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;
using Slimming.Results;
using Slimming.TestSupport;

namespace Slimming.Evaluation.Tests;

/// <summary>
/// Every item of fixtures/harness through libllama, with the tolerances of its README. Where a score allows it, a prediction
/// may turn only between choices that lie closer than twice the tolerance.
/// </summary>
[Trait("Category", "Slow")]
public sealed class HarnessLikelihoodTests(F32Model f32) : IClassFixture<F32Model>
{
    /// <summary>F32 weights, F32 cache, no flash attention.</summary>
    internal const double Tight = 0.002;

    public static TheoryData<string, int?> Tasks =>
        new()
        {
            { "hellaswag", null },
            { "piqa", null },
            { "arc_easy", null },
            { "arc_challenge", null },
            { "winogrande", null },
            { "openbookqa", null },
            { "boolq", null },
            { "mmlu_global_facts", 5 },
            { "mmlu_machine_learning", 5 },
            { "mmlu_college_computer_science", 5 },
        };

    [Theory]
    [MemberData(nameof(Tasks))]
    public void F32WeightsGiveTheLikelihoods(string name, int? shots)
    {
        var (rows, scored) = Score(f32.Path, name, shots);
        var flips = new List<string>();
        foreach (var (row, item) in rows.Zip(scored))
        {
            var place = $"{name} doc {item.Doc}";
            var expected = Doubles(row, "ll");
            item.ChoiceLogprobs!.Count.ShouldBe(expected.Count, place);
            for (var choice = 0; choice < expected.Count; choice++)
            {
                item.ChoiceLogprobs[choice].ShouldBe(expected[choice], Tight, $"{place} choice {choice}");
            }
            flips.AddRange(Flips(row, item, [.. expected.Select(_ => Tight)]));
        }
        Report(name, "F32", rows, scored, flips);
    }

    [Theory]
    [MemberData(nameof(Tasks))]
    public void Q4WeightsStayWithinTheirTolerance(string name, int? shots)
    {
        var (rows, scored) = Score(SharedFiles.Require(F32Model.Source), name, shots);
        var flips = new List<string>();
        foreach (var (row, item) in rows.Zip(scored))
        {
            var place = $"{name} doc {item.Doc}";
            var expected = Doubles(row, "ll");
            var tolerances = item.NCont!.Select(tokens => 1.0 + (0.1 * tokens)).ToList();
            for (var choice = 0; choice < expected.Count; choice++)
            {
                item.ChoiceLogprobs![choice].ShouldBe(expected[choice], tolerances[choice], $"{place} choice {choice}");
            }
            flips.AddRange(Flips(row, item, tolerances));
        }
        MeanError(rows, scored).ShouldBeLessThan(0.5, name);
        Report(name, "Q4_1", rows, scored, flips);
    }

    [Fact]
    public void F32WeightsWriteTheAnswersOfGsm8k()
    {
        var rows = Lines("gsm8k");
        using var engine = Open(f32.Path);
        var task = TaskCatalog.Find("gsm8k");
        var items = new ItemBuilder(task, SharedFiles.Require("data")).Build(0, rows.Count).ToList();
        var scored = new ItemScorer(task, engine, addBos: false, maxGenTokens: 128).Score(
            items,
            TestContext.Current.CancellationToken
        );
        foreach (var (row, item) in rows.Zip(scored))
        {
            var place = $"gsm8k doc {item.Doc}";
            var expected = row.GetProperty("gen_ids").EnumerateArray().Select(id => id.GetInt64()).ToList();
            var margins = Doubles(row, "margin");
            var sure = margins.TakeWhile(margin => margin >= 0.01).Count();
            item.ContIds![0].Take(sure).ShouldBe(expected.Take(sure), place);
            if (sure == margins.Count)
            {
                item.Generated.ShouldBe(row.GetProperty("generated").GetString(), place);
                item.Strict.ShouldBe(row.GetProperty("strict").GetString(), place);
                item.Flexible.ShouldBe(row.GetProperty("flexible").GetString(), place);
            }
        }
    }

    private static (List<JsonElement> Rows, List<ItemRow> Scored) Score(string model, string name, int? shots)
    {
        using var engine = Open(model);
        return Score(engine, Lines(name), name, shots);
    }

    /// <summary>The first items of a task, scored, beside the reference's rows of them.</summary>
    internal static (List<JsonElement> Rows, List<ItemRow> Scored) Score(
        IScoringEngine engine,
        List<JsonElement> rows,
        string name,
        int? shots
    )
    {
        var task = TaskCatalog.Find(name);
        var items = new ItemBuilder(task, SharedFiles.Require("data"), shots).Build(0, rows.Count).ToList();
        var scored = new ItemScorer(task, engine, addBos: false, maxGenTokens: 1).Score(
            items,
            TestContext.Current.CancellationToken
        );
        scored.Count.ShouldBe(rows.Count);
        return (rows, scored);
    }

    /// <summary>Predictions that turned; an error where the reference's scores lie too far apart for that.</summary>
    private static IEnumerable<string> Flips(JsonElement row, ItemRow item, List<double> tolerances)
    {
        var expected = Doubles(row, "ll");
        if (Turned(item.Pred, "pred", [.. expected.Select(_ => 1)]) is { } flip)
        {
            yield return flip;
        }
        if (item.PredNorm is not null && Turned(item.PredNorm, "pred_norm", Lengths(item)) is { } normal)
        {
            yield return normal;
        }

        string? Turned(long? now, string name, List<int> lengths)
        {
            var (there, here) = (row.GetProperty(name).GetInt32(), (int)now!.Value);
            if (there == here)
            {
                return null;
            }
            var gap = (expected[there] / lengths[there]) - (expected[here] / lengths[here]);
            var allowed = (tolerances[there] / lengths[there]) + (tolerances[here] / lengths[here]);
            gap.ShouldBeLessThan(allowed, $"{item.Task} doc {item.Doc}: {name} {there} became {here}");
            return string.Create(
                CultureInfo.InvariantCulture,
                $"{name} of doc {item.Doc}: {there} became {here} (gold {item.Gold}, reference {gap:0.000} nats apart)"
            );
        }
    }

    private static List<int> Lengths(ItemRow item) =>
        [.. item.Continuations!.Select(text => PythonText.CodePoints(text) - 1)];

    private static void Report(
        string name,
        string weights,
        List<JsonElement> rows,
        List<ItemRow> scored,
        List<string> flips
    )
    {
        var pairs = rows.Zip(scored).ToList();
        var changed = pairs.Count(pair => pair.First.GetProperty("acc").GetDouble() != pair.Second.Acc);
        var normal = pairs.Count(pair =>
            pair.Second.AccNorm is { } acc && pair.First.GetProperty("acc_norm").GetDouble() != acc
        );
        TestContext.Current.TestOutputHelper?.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{name} {weights}: {rows.Count} items, mean error {MeanError(rows, scored):0.00000}, max "
                    + $"{MaxError(rows, scored):0.00000}, acc changed {changed}, acc_norm {normal}; {string.Join("; ", flips)}"
            )
        );
    }

    internal static double MeanError(List<JsonElement> rows, List<ItemRow> scored) => Errors(rows, scored).Average();

    private static double MaxError(List<JsonElement> rows, List<ItemRow> scored) => Errors(rows, scored).Max();

    private static IEnumerable<double> Errors(List<JsonElement> rows, List<ItemRow> scored) =>
        rows.Zip(scored)
            .SelectMany(pair =>
                Doubles(pair.First, "ll").Zip(pair.Second.ChoiceLogprobs!, (there, here) => Math.Abs(there - here))
            );

    private static LlamaEngine Open(string model) => LlamaEngine.Open(new LlamaEngineOptions { Model = model });

    internal static List<double> Doubles(JsonElement row, string name) =>
        [.. row.GetProperty(name).EnumerateArray().Select(value => value.GetDouble())];

    internal static List<JsonElement> Lines(string name) =>
        [
            .. File.ReadLines(SharedFiles.Require($"fixtures/harness/{name}.jsonl"))
                .Select(line =>
                {
                    using var document = JsonDocument.Parse(line);
                    return document.RootElement.Clone();
                }),
        ];
}

/// <summary>An F32 copy of the shared model for as long as a test class runs.</summary>
public sealed class F32Model : IDisposable
{
    public const string Source = "models/SmolLM2-135M-Instruct.Q4_1.gguf";
    private readonly Lazy<string> _path = new(() =>
    {
        var copy = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"slimming-{Guid.NewGuid():N}.gguf");
        F32Copy.Write(SharedFiles.Require(Source), copy);
        return copy;
    });

    public string Path => _path.Value;

    public void Dispose()
    {
        if (_path.IsValueCreated)
        {
            File.Delete(_path.Value);
        }
    }
}
