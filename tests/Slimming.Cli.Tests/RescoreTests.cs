using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Results;
using static Slimming.Cli.Tests.ScoredFolder;

namespace Slimming.Cli.Tests;

public sealed class RescoreTests : IDisposable
{
    private const string OwnChoices = """
        name: colours
        version: "2"
        kind: multiple_choice
        data: [absent.jsonl]
        prompt: "{q}"
        choices_field: options
        gold: "{gold}"
        metrics: [acc, acc_norm]
        """;

    private const string OwnSums = """
        name: sums
        version: "3"
        kind: generate_until
        data: [absent.jsonl]
        prompt: "{q}"
        target: "{a}"
        answer:
          strict: { regex: '= (\d+)', take: last }
          remove: ['= ']
        metrics: [exact_match_strict]
        """;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void StoredAnswersAreExtractedAnew()
    {
        // METHODS.md section 10; the stored extractions are those of an older rule.
        (string Text, string Strict, string Flexible)[] vectors =
        [
            ("16-7=<<16-7=9>>9\n#### 18\n\n", "18", "18"),
            ("The answer is $1,234.50.", "[invalid]", "$1,234.50."),
            ("so he has 7.", "[invalid]", "7."),
            ("-3 and then 4-5", "[invalid]", "-5"),
        ];
        var rows = vectors.Select(
            (vector, i) =>
                Generation("gsm8k", i, false, false) with
                {
                    Generated = vector.Text,
                    Strict = "old",
                    Flexible = "old",
                    TolFlex = 0,
                    Continuations = ["so\n#### 18"],
                }
        );
        var from = Write(_folder["old"], Settings("m", "gsm8k"), rows);
        var json = JsonNode.Parse(Cli.Done("rescore", from, "--out", _folder["new"], "--json").Output)!;
        json["changed"]![0]!["items"]!.GetValue<long>().ShouldBe(4);
        json["metrics"]!
            .AsArray()
            .Select(metric => (metric!["metric"]!.GetValue<string>(), metric["value"]!.GetValue<double>()))
            .ShouldBe([("exact_match_strict", 0.25), ("exact_match_flexible", 0.25), ("tol_flex", 0.25)]);
        using var store = ResultsStore.OpenFinished(_folder["new"]);
        var found = store.ReadItems(texts: true).ToList();
        found
            .Select(row => (row.Strict, row.Flexible))
            .ShouldBe(vectors.Select(v => ((string?)v.Strict, (string?)v.Flexible)));
        found[0].Contexts.ShouldBe(["sum 0"]);
        found[0].TaskVersion.ShouldBe("3");
        store.Info.Environment["rescored_from"].ShouldNotBe(store.Info.Id);
        store.Info.Settings["task gsm8k"].ShouldEndWith(", data 4567");
    }

    [Fact]
    public void AMetricThatWasNotThereComesFromTheStoredLikelihoods()
    {
        var rows = Enumerable
            .Range(0, 3)
            .Select(i =>
                Choice("colours", i, right: false) with
                {
                    ChoiceLogprobs = [-4, -5],
                    Continuations = [" a", " bbb"],
                }
            );
        var from = Write(_folder["old"], Settings("m", "colours"), rows);
        var yaml = _folder.Write("colours.yaml", OwnChoices);
        Cli.Done("rescore", from, "--tasks", yaml, "--out", _folder["new"])
            .Output.ShouldContain("colours: 3 item(s) changed");
        using var store = ResultsStore.OpenFinished(_folder["new"]);
        // -4 / 1 against -5 / 3 code points.
        store.ReadItems().ShouldAllBe(row => row.Pred == 0 && row.Acc == 0 && row.PredNorm == 1 && row.AccNorm == 1);
        store.ReadSummary().Select(row => (row.Metric, row.Value)).ShouldBe([("acc", 0.0), ("acc_norm", 1.0)]);
    }

    [Fact]
    public void RescoredRunsOfOneDefinitionAreAPair()
    {
        foreach (var name in new[] { "base", "tuned" })
        {
            var rows = Enumerable
                .Range(0, 4)
                .Select(i =>
                    Generation("sums", i, false, false) with
                    {
                        Generated = name == "base" || i > 1 ? "1 + 1 = 2" : "1 + 1 = 3",
                        Continuations = ["= 2"],
                    }
                );
            var from = Write(_folder[name], Settings(name, "sums"), rows);
            var yaml = _folder.Write("sums.yaml", OwnSums);
            Cli.Done("rescore", from, "--tasks", yaml, "--out", _folder[name + "-new"]);
        }
        var moves = JsonNode.Parse(Cli.Done("compare", _folder["base-new"], _folder["tuned-new"], "--json").Output)!;
        var table = moves["runs"]![0]!["tasks"]![0]!["transitions"]!;
        table["right_right"]!.GetValue<long>().ShouldBe(2);
        table["right_wrong"]!.GetValue<long>().ShouldBe(2);
    }

    [Fact]
    public void WhatCannotBeRescoredIsNamed()
    {
        var from = Write(_folder["old"], Settings("m", "colours"), [Choice("colours", 0, true)]);
        Refused("task colours is not built in", from);
        Refused("task hellaswag is not in", from, "--tasks", "hellaswag");
        var sums = _folder.Write("s.yaml", OwnSums.Replace("name: sums", "name: colours", StringComparison.Ordinal));
        Refused("task colours, doc 0: was scored as MultipleChoice", from, "--tasks", sums);
        var glued = OwnChoices + "\ndelimiter: \"::\"";
        Refused("does not begin with \"::\"", from, "--tasks", _folder.Write("g.yaml", glued));
    }

    [Fact]
    public void TheFolderThatIsReadIsNeverWritten()
    {
        var from = Write(_folder["old"], Settings("m", "piqa"), [Choice("piqa", 0, true)]);
        var answer = Cli.Run("rescore", from, "--out", from, "--force");
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain("is the folder that is read");
        Cli.Done("results", from);
        Cli.Done("rescore", from, "--out", _folder["new"]);
        Cli.Run("rescore", from, "--out", _folder["new"]).Code.ShouldBe(ExitCode.Refused);
        Cli.Done("rescore", from, "--out", _folder["new"], "--force");
    }

    private void Refused(string message, string from, params string[] options)
    {
        var answer = Cli.Run(["rescore", from, "--out", _folder["refused"], "--force", .. options]);
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain(message);
    }
}
