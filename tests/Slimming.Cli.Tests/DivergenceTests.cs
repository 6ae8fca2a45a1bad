using System.Text.Json.Nodes;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary>Task kl from the command line, and what compare makes of it: how far a merged file is from base plus adapter.</summary>
public sealed class DivergenceTests : IDisposable
{
    private const string Task = """
        name: kl_letters
        kind: divergence
        data: [text.txt]
        prompt: "{text}"
        window_length: 32
        metrics: [mean_kl, kl_p99, same_top_1]
        """;

    private const string Questions = """
        name: letters
        kind: multiple_choice
        data: [letters.jsonl]
        prompt: "{question}"
        choices: [a, b]
        gold: "{answer}"
        metrics: [acc]
        """;

    private readonly TempFolder _folder = new();
    private readonly string _adapter;
    private readonly string _merged;

    public DivergenceTests()
    {
        _folder.Write("kl.yaml", Task);
        _folder.Write("letters.yaml", Questions);
        _folder.Write("letters.jsonl", "{\"question\": \"x\", \"answer\": 0}\n{\"question\": \"y\", \"answer\": 1}\n");
        _folder.Write("text.txt", string.Concat(Enumerable.Range(0, 60).Select(i => $"line {i} of {i * i}. ")));
        TinyRun run = new(_folder);
        Cli.Done(run.Lora("run"));
        _adapter = Path.Combine(_folder["run"], "adapter.gguf");
        _merged = _folder["merged.gguf"];
        Cli.Done(
            "export",
            _folder["run"],
            "--to",
            "merged",
            "--type",
            "q4_0",
            "--out",
            _merged,
            "--model",
            TinyRun.Model
        );
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void CompareAddsWhatMergingChanged()
    {
        Bench("adapter", TinyRun.Model, "letters.yaml", "--adapter", _adapter);
        Bench(
            "merged",
            _merged,
            "letters.yaml,kl.yaml",
            "--reference-model",
            TinyRun.Model,
            "--reference-adapter",
            _adapter
        );
        var answer = Cli.Done("compare", _folder["adapter"], _folder["merged"], "--json");
        answer.Error.ShouldBe("");
        var run = JsonNode.Parse(answer.Output)!["runs"]![0]!;
        run["tasks"]!.AsArray().Select(task => task!["task"]!.GetValue<string>()).ShouldBe(["letters"]);
        run["left_out"]!.AsArray().ShouldBeEmpty();
        var found = run["divergence"]!.AsArray().ShouldHaveSingleItem()!;
        found["run"]!.GetValue<string>().ShouldBe("tuned");
        found["reference"]!.GetValue<string>().ShouldBe("base");
        found["reference_name"]!.GetValue<string>().ShouldBe($"{TinyRun.Model} with {_adapter}");
        // The same from the items: 4 bits cannot hold what the adapter adds.
        var rows = Cli.Done("results", _folder["merged"], "--format", "jsonl", "--task", "kl_letters")
            .Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonNode.Parse(line)!)
            .ToList();
        var kl = rows.SelectMany(row => row["kl"]!.AsArray().Select(value => value!.GetValue<double>())).ToList();
        Number(found["tokens"]).ShouldBe(kl.Count);
        Number(found["windows"]).ShouldBe(rows.Count);
        rows[0]["kl"]!.AsArray().Count.ShouldBe(32);
        Number(found["mean_kl"]!["value"]).ShouldBe(kl.Average(), 1e-12);
        kl.Average().ShouldBeGreaterThan(1e-6);
        kl.Sort();
        Number(found["kl_p99"]!["value"]).ShouldBeInRange(kl[(int)(0.98 * kl.Count)], kl[^1]);
        Number(found["same_top_1"]!["value"])
            .ShouldBe((double)rows.Sum(row => row["same_top_1"]!.GetValue<long>()) / kl.Count, 1e-12);
        Number(found["mean_kl"]!["interval"]!["low"]).ShouldBeLessThan(kl.Average());
        Cli.Done("compare", _folder["adapter"], _folder["merged"]).Output.ShouldContain("KL, 99th percentile");
        // The other way round the base is the merged file, and the adapter still its reference.
        JsonNode.Parse(Cli.Done("compare", _folder["merged"], _folder["adapter"], "--json").Output)!["runs"]![0]![
            "divergence"
        ]![0]!["reference"]!
            .GetValue<string>()
            .ShouldBe("tuned");
    }

    [Fact]
    public void DistancesFromOneReferenceAreComparedLikeOtherMetrics()
    {
        Bench("same", TinyRun.Model, "kl.yaml", "--reference-model", TinyRun.Model);
        Bench("tuned", TinyRun.Model, "kl.yaml", "--adapter", _adapter, "--reference-model", TinyRun.Model);
        var run = JsonNode.Parse(Cli.Done("compare", _folder["same"], _folder["tuned"], "--json").Output)!["runs"]![0]!;
        var metric = run["tasks"]![0]!["metrics"]![0]!;
        metric["metric"]!.GetValue<string>().ShouldBe("mean_kl");
        metric["unit"]!.GetValue<string>().ShouldBe("nats per token");
        Number(metric["base"]!["value"]).ShouldBe(0);
        metric["verdict"]!.GetValue<string>().ShouldBe("worse");
        // Both are measured from the base, which is the first run here.
        run["divergence"]!.AsArray().Select(row => row!["reference"]!.GetValue<string>()).ShouldBe(["base", "base"]);
    }

    [Fact]
    public void AKilledRunGoesOnAndLimitsCountWindows()
    {
        Bench("all", _merged, "kl.yaml", "--reference-model", TinyRun.Model);
        Bench("part", _merged, "kl.yaml", "--reference-model", TinyRun.Model, "--offset", "3", "--limit", "2");
        var part = Rows("part");
        part.Select(row => Number(row["doc"])).ShouldBe([3, 4]);
        part.Select(row => row["kl"]!.ToJsonString())
            .ShouldBe(Rows("all").Skip(3).Take(2).Select(row => row["kl"]!.ToJsonString()));
        File.Delete(Path.Combine(Directory.GetDirectories(_folder["all"])[0], "DONE"));
        Bench("all", _merged, "kl.yaml", "--reference-model", TinyRun.Model);
    }

    [Theory]
    [InlineData("kl.yaml", "", "", "kl_letters needs --reference-model")]
    [InlineData("letters.yaml", "--reference-model", "tiny", "no task measures a distance")]
    [InlineData("kl.yaml", "--reference-adapter", "tiny", "--reference-adapter needs --reference-model")]
    [InlineData("kl.yaml", "--reference-model", "demo", "vocabulary")]
    public void WhatCannotBeMeasuredIsRefused(string task, string option, string model, string named)
    {
        var path =
            model == "demo"
                ? Path.Combine(Slimming.TestSupport.SharedFiles.RepoRoot, "scripts/demo/model.gguf")
                : TinyRun.Model;
        var answer = Run("bad", TinyRun.Model, task, option.Length == 0 ? [] : [option, path]);
        answer.Code.ShouldBe(ExitCode.Usage, answer.Error);
        answer.Error.ShouldContain(named);
        Directory.Exists(_folder["bad"]).ShouldBeFalse();
    }

    private List<JsonNode> Rows(string name) =>
        [
            .. Cli.Done("results", _folder[name], "--format", "jsonl")
                .Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => JsonNode.Parse(line)!),
        ];

    private void Bench(string name, string model, string tasks, params string[] more) =>
        Run(name, model, tasks, more).Code.ShouldBe(ExitCode.Done);

    private CliAnswer Run(string name, string model, string tasks, params string[] more) =>
        Cli.Run([
            "bench",
            "--model",
            model,
            "--tasks",
            string.Join(',', tasks.Split(',').Select(task => _folder[task])),
            "--data-dir",
            _folder.Path,
            "--threads",
            "1",
            "--out",
            _folder[name],
            .. more,
        ]);

    private static double Number(JsonNode? node) => node!.GetValue<double>();
}
