using System.Text.Json;
using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Results;
using static Slimming.Cli.Tests.ScoredFolder;

namespace Slimming.Cli.Tests;

/// <summary>compare finds benchmark items in training data by 13 words in a row.</summary>
public sealed class OverlapTests : IDisposable
{
    private static readonly string[] s_words =
    [
        .. "The quick brown fox jumps over the lazy dog while seven small mice sing an old song".Split(' '),
    ];

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void ItemsAreFoundWhateverCaseAndPunctuation()
    {
        var (start, tuned) = Runs();
        // 13 of the words in other case and with marks; 12 of them; words of two items; the right answer alone.
        var data = Data(
            $"He said: \"{string.Join(",  ", s_words[1..14]).ToUpperInvariant()}!\" and left.",
            string.Join(' ', s_words[4..16]),
            Numbers(40)
        );
        var answer = Cli.Done("compare", start, tuned, "--data", data, "--json");
        answer.Error.ShouldContain(
            $"{tuned}: 1 of 4 items of piqa share 13 words in a row with training rows of {data} (doc 1)"
        );
        var overlap = JsonNode.Parse(answer.Output)!["runs"]![0]!["overlap"]!;
        overlap["words"]!.GetValue<int>().ShouldBe(13);
        overlap["rows"]!.GetValue<int>().ShouldBe(3);
        var piqa = overlap["tasks"]!.AsArray().Single(task => task!["task"]!.GetValue<string>() == "piqa")!;
        piqa["items"]!.GetValue<int>().ShouldBe(4);
        piqa["too_short"]!.GetValue<int>().ShouldBe(1);
        var found = piqa["found"]!.AsArray().ShouldHaveSingleItem()!;
        found["doc"]!.GetValue<int>().ShouldBe(1);
        found["shared"]!.GetValue<int>().ShouldBe(1);
        // 17 words and the answer make 18: six runs of 13.
        found["of"]!.GetValue<int>().ShouldBe(6);
        found["source"]!.GetValue<string>().ShouldBe(data);
        found["row"]!.GetValue<int>().ShouldBe(0);
        found["text"]!.GetValue<string>().ShouldBe(string.Join(' ', s_words[1..14]).ToLowerInvariant());
        // Question and answer are one text, and both items that share it are named.
        var sums = overlap["tasks"]!.AsArray().Single(task => task!["task"]!.GetValue<string>() == "sums")!;
        sums["found"]!.AsArray().Select(item => item!["doc"]!.GetValue<int>()).ShouldBe([0, 2]);
        var table = Cli.Done("compare", start, tuned, "--data", data, "--items", "1").Output;
        table.ShouldContain("13 words in a row shared with 3 training rows");
        table.ShouldContain("piqa, doc 1: 1 of 6, first in");
        Cli.Done("compare", start, tuned).Output.ShouldContain("not looked for; --train-run or --data");
    }

    [Fact]
    public void WorkedExamplesAreNotTheItem()
    {
        var shots = string.Join(' ', s_words);
        ItemRow[] Rows(bool right) =>
            [Choice("piqa", 0, right) with { Contexts = [$"{shots}\n\nwhat is it"], Questions = ["what is it"] }];
        var start = Write(_folder["base"], Settings("base", "piqa"), Rows(true));
        var tuned = Write(_folder["tuned"], Settings("tuned", "piqa"), Rows(false));
        Cli.Done("compare", start, tuned, "--data", Data(shots)).Error.ShouldBe("");
    }

    [Fact]
    public void TheRunOfAScoredAdapterIsSearchedByItself()
    {
        var data = Data(string.Join(' ', s_words), "another row");
        TrainRecord.Write(_folder["run"], data);
        File.WriteAllText(Path.Combine(_folder["run"], "metrics.jsonl"), "");
        var adapter = Path.Combine(_folder["run"], "checkpoints", "step-3", "adapter.gguf");
        var (start, tuned) = Runs(adapter);
        Cli.Done("compare", start, tuned).Error.ShouldContain($"training rows of {_folder["run"]} (doc 1)");
        // Of two rows the draw takes one: only what was trained on counts.
        TrainRecord.Write(_folder["run"], data, sample: 1);
        var drawn = Cli.Done("compare", start, tuned, "--json");
        JsonNode.Parse(drawn.Output)!["runs"]![0]!["overlap"]!["rows"]!.GetValue<int>().ShouldBe(1);
        File.AppendAllText(data, "{\"text\": \"more\"}\n");
        Cli.Done("compare", start, tuned).Error.ShouldContain($"{data} has changed since the run read it");
        var named = Cli.Run("compare", start, tuned, "--train-run", _folder["run"]);
        named.Code.ShouldBe(ExitCode.Usage);
        named.Error.ShouldContain("has changed");
        File.Delete(data);
        Cli.Run("compare", start, tuned, "--train-run", _folder["run"]).Error.ShouldContain("are not there");
        Cli.Run("compare", start, tuned, "--train-run", _folder["no"]).Code.ShouldBe(ExitCode.Usage);
    }

    private (string Base, string Tuned) Runs(string adapter = "")
    {
        ItemRow[] Rows(bool right) =>
            [
                Choice("piqa", 0, right) with
                {
                    Contexts = ["too short"],
                },
                Choice("piqa", 1, right) with
                {
                    Contexts = [string.Join(' ', s_words)],
                },
                Choice("piqa", 2, right) with
                {
                    Contexts = [string.Join(' ', s_words.Reverse())],
                },
                Choice("piqa", 3, right) with
                {
                    Contexts = [string.Join(' ', s_words[..10]) + " and then something else"],
                },
                Generation("sums", 0, right, right) with
                {
                    Contexts = [Numbers(10)],
                    Continuations = ["10 11 12 13"],
                },
                Generation("sums", 1, right, right) with
                {
                    Contexts = [Numbers(10)],
                    Continuations = ["11 12 13 14"],
                },
                Generation("sums", 2, right, right) with
                {
                    Contexts = [Numbers(14)],
                    Continuations = ["x"],
                },
            ];
        var start = Write(_folder["base"], Settings("base", "piqa", "sums"), Rows(true));
        var tuned = Write(_folder["tuned"], Settings("tuned", "piqa", "sums"), Rows(false), adapter: adapter);
        return (start, tuned);
    }

    private string Data(params string[] texts) =>
        _folder.Write(
            "train.jsonl",
            string.Concat(texts.Select(text => JsonSerializer.Serialize(new { text }) + "\n"))
        );

    private static string Numbers(int count) => string.Join(' ', Enumerable.Range(0, count));
}
