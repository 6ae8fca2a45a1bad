using System.Globalization;
using System.Text.Json;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;
using Slimming.LlamaCpp;
using Slimming.Results;
using Slimming.TestSupport;

namespace Slimming.Evaluation.Tests;

/// <summary>Prompts, splits, draws and extractions equal those of lm-evaluation-harness (fixtures/harness).</summary>
public sealed class HarnessFixtureTests
{
    [Theory]
    [InlineData("hellaswag", null)]
    [InlineData("piqa", null)]
    [InlineData("arc_easy", null)]
    [InlineData("arc_challenge", null)]
    [InlineData("winogrande", null)]
    [InlineData("openbookqa", null)]
    [InlineData("boolq", null)]
    [InlineData("mmlu_global_facts", 5)]
    [InlineData("mmlu_machine_learning", 5)]
    [InlineData("mmlu_college_computer_science", 5)]
    public void ChoicesEqualTheHarness(string name, int? shots)
    {
        var task = TaskCatalog.Find(name);
        var rows = Lines($"fixtures/harness/{name}.jsonl");
        using var prefixes = JsonDocument.Parse(
            File.ReadAllText(SharedFiles.Require("fixtures/harness/prefixes.json"))
        );
        using var model = Smol();
        var encoder = new PairEncoder(new TestCodec(model.Vocab), addBos: false);
        var items = new ItemBuilder(task, SharedFiles.Require("data"), shots).Build(0, rows.Count).ToList();
        items.Count.ShouldBe(rows.Count);
        foreach (var (row, item) in rows.Zip(items))
        {
            var place = $"{name} doc {item.Doc}";
            item.Doc.ShouldBe(row.GetProperty("doc").GetInt64());
            item.Contexts.ShouldBe(Contexts(row, prefixes), place);
            item.Continuations.ShouldBe(Continuations(row, item.Continuations.Count), place);
            item.Gold.ShouldBe(row.GetProperty("gold").GetInt32(), place);
            var pairs = Enumerable
                .Range(0, item.Continuations.Count)
                .Select(choice => encoder.Encode(item.ContextOf(choice), item.Continuations[choice]))
                .ToList();
            pairs.Select(pair => pair.Continuation.Length).ShouldBe(Ints(row.GetProperty("n_cont")), place);
            pairs
                .Take(item.Contexts.Count)
                .Select(pair => pair.Context.Length)
                .ShouldBe(Ints(row.GetProperty("n_ctx")), place);
            if (row.TryGetProperty("cont_ids", out var ids))
            {
                pairs.Select(pair => pair.Continuation).ShouldBe(ids.EnumerateArray().Select(Ints), place);
            }
            if (row.TryGetProperty("ctx_ids", out var contextIds))
            {
                var expected =
                    contextIds[0].ValueKind == JsonValueKind.Array
                        ? contextIds.EnumerateArray().Select(Ints)
                        : [Ints(contextIds)];
                pairs.Take(item.Contexts.Count).Select(pair => pair.Context).ShouldBe(expected, place);
            }
            Predictions(row, item, place);
        }
    }

    [Fact]
    public void Gsm8kPromptsAndShotsEqualTheHarness()
    {
        var rows = Lines("fixtures/harness/gsm8k.jsonl");
        var items = new ItemBuilder(TaskCatalog.Find("gsm8k"), SharedFiles.Require("data"))
            .Build(0, rows.Count)
            .ToList();
        using var model = Smol();
        foreach (var (row, item) in rows.Zip(items))
        {
            item.Shots.ShouldBe(Ints(row.GetProperty("train_rows")));
            item.Contexts.ShouldBe([row.GetProperty("prompt").GetString()!]);
            item.Targets.ShouldBe([row.GetProperty("target").GetString()!]);
            new PairEncoder(new TestCodec(model.Vocab), addBos: false)
                .Encode(item.Contexts[0])
                .Length.ShouldBe(row.GetProperty("n_ctx").GetInt32());
        }
    }

    [Fact]
    public void PromptsDoNotDependOnTheOffset()
    {
        var builder = new ItemBuilder(TaskCatalog.Find("gsm8k"), SharedFiles.Require("data"));
        builder.Build(2, 1).Single().PromptHash.ShouldBe(builder.Build(0, 5).ElementAt(2).PromptHash);
    }

    [Fact]
    public void Gsm8kFiltersEqualTheHarness()
    {
        var extraction = new AnswerExtraction(TaskCatalog.Find("gsm8k").Answer);
        foreach (var row in Lines("fixtures/harness/gsm8k_filters.jsonl"))
        {
            var generated = row.GetProperty("generation").GetString()!;
            var target = row.GetProperty("target").GetString()!;
            var strict = extraction.Strict(generated);
            var flexible = extraction.Flexible(generated)!;
            strict.ShouldBe(row.GetProperty("strict").GetString(), generated);
            flexible.ShouldBe(row.GetProperty("flexible").GetString(), generated);
            extraction.Clean(strict).ShouldBe(row.GetProperty("strict_clean").GetString(), generated);
            extraction.Clean(flexible).ShouldBe(row.GetProperty("flexible_clean").GetString(), generated);
            extraction.Clean(target).ShouldBe(row.GetProperty("target_clean").GetString(), generated);
            extraction.Matches(strict, target).ShouldBe(row.GetProperty("em_strict").GetDouble() > 0, generated);
            extraction.Matches(flexible, target).ShouldBe(row.GetProperty("em_flexible").GetDouble() > 0, generated);
        }
    }

    /// <summary>The texts that the reference model wrote, to what was taken out of them.</summary>
    [Fact]
    public void RecordedAnswersAreExtractedAsInTheHarness()
    {
        var task = TaskCatalog.Find("gsm8k");
        var extraction = new AnswerExtraction(task.Answer);
        var rows = Lines("fixtures/harness/gsm8k.jsonl");
        rows.Count.ShouldBe(16);
        foreach (var row in rows)
        {
            var generated = row.GetProperty("generated").GetString()!;
            var target = row.GetProperty("target").GetString()!;
            var strict = extraction.Strict(generated);
            var flexible = extraction.Flexible(generated)!;
            strict.ShouldBe(row.GetProperty("strict").GetString());
            flexible.ShouldBe(row.GetProperty("flexible").GetString());
            (extraction.Matches(strict, target) ? 1.0 : 0).ShouldBe(row.GetProperty("exact_match_strict").GetDouble());
            (extraction.Matches(flexible, target) ? 1.0 : 0).ShouldBe(
                row.GetProperty("exact_match_flexible").GetDouble()
            );
            // The file's list ends with the text of EOS, which the generator adds itself.
            row.GetProperty("until").EnumerateArray().Select(stop => stop.GetString()!).ShouldBe(task.Stops);
            foreach (var stop in row.GetProperty("stop_used").EnumerateArray())
            {
                generated.ShouldNotContain(stop.GetString()!);
            }
        }
    }

    /// <summary>From the recorded likelihoods to the printed metrics and standard errors, by this project's own summary.</summary>
    [Fact]
    public void SummariesEqualTheHarness()
    {
        using var summary = JsonDocument.Parse(File.ReadAllText(SharedFiles.Require("fixtures/harness/summary.json")));
        var tasks = summary.RootElement.GetProperty("tasks").EnumerateArray().ToList();
        tasks.Count.ShouldBe(11);
        foreach (var expected in tasks)
        {
            var name = expected.GetProperty("task").GetString()!;
            var task = TaskCatalog.Find(name);
            task.Version.ShouldBe(
                expected.GetProperty("yaml_version").GetDouble().ToString("0", CultureInfo.InvariantCulture)
            );
            var rows = Lines($"fixtures/harness/{name}.jsonl");
            rows.Count.ShouldBe(expected.GetProperty("n").GetInt32());
            var shots = expected.GetProperty("num_fewshot").GetInt32();
            var items = new ItemBuilder(task, SharedFiles.Require("data"), shots).Build(0, rows.Count);
            var scored = rows.Zip(items, (row, item) => Scored(task, row, item)).ToList();
            var metrics = Summary.Of([task], [], scored, new ResultOrigin("", "", "")).ToDictionary(m => m.Metric);
            foreach (var value in expected.GetProperty("metrics").EnumerateObject())
            {
                var parts = value.Name.Split(',');
                var metric = parts[0].Replace("_stderr", "", StringComparison.Ordinal);
                metric = parts[1] switch
                {
                    "strict-match" => metric + "_strict",
                    "flexible-extract" => metric + "_flexible",
                    _ => metric,
                };
                var own = metrics[metric];
                var given = parts[0].EndsWith("_stderr", StringComparison.Ordinal) ? own.Stderr : own.Value;
                given!.Value.ShouldBe(value.Value.GetDouble(), 1e-12, $"{name} {value.Name}");
            }
        }
    }

    private static ItemRow Scored(TaskDefinition task, JsonElement row, TaskItem item)
    {
        var empty = new ItemRow
        {
            Task = task.Name,
            TaskVersion = task.Version,
            Doc = item.Doc,
            ItemHash = item.Hash,
            PromptHash = item.PromptHash,
        };
        return task.Kind == TaskKind.GenerateUntil
            ? RowScoring.WithAnswer(empty, task, row.GetProperty("generated").GetString()!, item.Targets)
            : RowScoring.WithChoices(
                empty,
                task,
                [.. row.GetProperty("ll").EnumerateArray().Select(ll => ll.GetDouble())],
                item.Lengths,
                item.Gold
            );
    }

    [Fact]
    public void HellaswagTextsArePreparedAsInTheHarness()
    {
        var task = TaskCatalog.Find("hellaswag");
        foreach (var row in Lines("fixtures/harness/hellaswag_prepare.jsonl"))
        {
            var template = new RowTemplate(task, row);
            TextFilters
                .Apply("hellaswag", template.Render(task.Prompt!))
                .ShouldBe(row.GetProperty("query").GetString());
            template
                .RenderList("endings")
                .ConvertAll(ending => TextFilters.Apply("hellaswag", ending))
                .ShouldBe(row.GetProperty("choices").EnumerateArray().Select(choice => choice.GetString()!));
        }
    }

    [Fact]
    public void PairsAreSplitAsInTheHarness()
    {
        using var model = Smol();
        var encoder = new PairEncoder(new TestCodec(model.Vocab), addBos: false);
        foreach (var row in Lines("fixtures/harness/encode_pair.jsonl"))
        {
            var (context, continuation) = encoder.Encode(
                row.GetProperty("context").GetString()!,
                row.GetProperty("continuation").GetString()!
            );
            context.ShouldBe(Ints(row.GetProperty("ctx_ids")), row.ToString());
            continuation.ShouldBe(Ints(row.GetProperty("cont_ids")), row.ToString());
        }
    }

    [Fact]
    public void DrawsEqualTheHarness()
    {
        using var json = JsonDocument.Parse(
            File.ReadAllText(SharedFiles.Require("fixtures/harness/fewshot_sampling.json"))
        );
        foreach (var set in json.RootElement.EnumerateArray())
        {
            var pool = set.GetProperty("pool").GetInt32();
            var k = set.GetProperty("k").GetInt32();
            var drawn = set.GetProperty("drawn").GetInt32();
            var random = new PythonRandom(1234);
            var doc = 0;
            foreach (var row in set.GetProperty("rows").EnumerateArray())
            {
                // The items of these lists are not rows of the pool: nothing is taken out.
                var rest = random.Sample(pool, drawn).Take(k);
                rest.ShouldBe(Ints(row), $"pool {pool}, k {k}, item {doc}");
                doc++;
            }
        }
    }

    private static void Predictions(JsonElement row, TaskItem item, string place)
    {
        var likelihoods = row.GetProperty("ll").EnumerateArray().Select(ll => ll.GetDouble()).ToArray();
        Index(likelihoods).ShouldBe(row.GetProperty("pred").GetInt32(), place);
        if (row.TryGetProperty("pred_norm", out var norm))
        {
            Index([.. likelihoods.Select((ll, choice) => ll / item.Lengths[choice])]).ShouldBe(norm.GetInt32(), place);
        }
    }

    private static int Index(double[] values) => Array.IndexOf(values, values.Max());

    private static List<string> Contexts(JsonElement row, JsonDocument prefixes)
    {
        if (row.TryGetProperty("contexts", out var contexts))
        {
            return [.. contexts.EnumerateArray().Select(context => context.GetString()!)];
        }
        return row.TryGetProperty("prefix", out var prefix)
            ? [prefixes.RootElement.GetProperty(prefix.GetString()!).GetString() + row.GetProperty("tail").GetString()]
            : [row.GetProperty("context").GetString()!];
    }

    private static IEnumerable<string> Continuations(JsonElement row, int count) =>
        row.TryGetProperty("continuations", out var list)
            ? list.EnumerateArray().Select(text => text.GetString()!)
            : Enumerable.Repeat(row.GetProperty("continuation").GetString()!, count);

    private static int[] Ints(JsonElement value) =>
        value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Select(id => id.GetInt32())]
            : [value.GetInt32()];

    private static List<JsonElement> Lines(string path) =>
        [
            .. File.ReadLines(SharedFiles.Require(path))
                .Select(line =>
                {
                    using var document = JsonDocument.Parse(line);
                    return document.RootElement.Clone();
                }),
        ];

    private static LlamaModel Smol() =>
        LlamaModel.Load(SharedFiles.Require("models/SmolLM2-135M-Instruct.Q4_1.gguf"), vocabOnly: true);
}

/// <summary>The codec of a vocabulary without an engine.</summary>
internal sealed class TestCodec(LlamaVocab vocab) : ITextCodec
{
    public int Bos => vocab.Bos;
    public bool AddsBos => vocab.AddBos;
    public int PrefixToken => vocab.Bos;

    public int[] Tokenize(string text) => vocab.Tokenize(text, addSpecial: false, parseSpecial: true);

    public string Detokenize(ReadOnlySpan<int> tokens) => vocab.Detokenize(tokens, special: false);

    public bool EndsAnswer(int token) => token == vocab.Eos;
}
