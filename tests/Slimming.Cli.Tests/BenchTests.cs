using System.Text.Json;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary>Verbs bench, results and generate in process, on a small model and a task of its own.</summary>
public sealed class BenchTests : IDisposable
{
    private const string Task = """
        name: letters
        kind: multiple_choice
        data: [letters.jsonl]
        prompt: "{question}"
        choices: [a, b]
        gold: "{answer}"
        metrics: [acc]
        """;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("slimming-");

    public BenchTests()
    {
        File.WriteAllText(At("letters.yaml"), Task);
        File.WriteAllLines(
            At("letters.jsonl"),
            ["""{"question": "x", "answer": 0}""", """{"question": "y, \"z\"", "answer": 1}"""]
        );
    }

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void ResultsHoldTheItemsThatBenchScored()
    {
        var answer = Bench("--out", At("r"), "--json");
        answer.Code.ShouldBe(ExitCode.Done, answer.Error);
        using var json = JsonDocument.Parse(answer.Output);
        var metric = json.RootElement.GetProperty("metrics")[0];
        metric.GetProperty("metric").GetString().ShouldBe("acc");
        metric.GetProperty("n").GetInt32().ShouldBe(2);

        var lines = Cli.Run(["results", At("r"), "--format", "jsonl"])
            .Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.Length.ShouldBe(2);
        using var second = JsonDocument.Parse(lines[1]);
        second.RootElement.GetProperty("contexts")[0].GetString().ShouldBe("y, \"z\"");
        second.RootElement.GetProperty("choice_logprobs").GetArrayLength().ShouldBe(2);
        second.RootElement.TryGetProperty("key", out _).ShouldBeFalse();

        var csv = Cli.Run(["results", At("r"), "--format", "csv"]).Output;
        csv.ShouldStartWith("task,task_version,doc,item_hash,prompt_hash,cluster,n_ctx");
        Cli.Run(["results", At("r")]).Output.ShouldContain("letters");
        Cli.Run(["results", At("r"), "--task", "other"]).Code.ShouldBe(ExitCode.Usage);
    }

    [Fact]
    public void AFinishedOrOtherRunIsNotTouched()
    {
        Bench("--out", At("r")).Code.ShouldBe(ExitCode.Done);
        var again = Bench("--out", At("r"));
        again.Code.ShouldBe(ExitCode.Refused);
        again.Error.ShouldContain("finished");
        var other = Bench("--out", At("r"), "--limit", "1");
        other.Code.ShouldBe(ExitCode.Refused);
        other.Error.ShouldContain("limit: there all, asked 1");
        Bench("--out", At("r"), "--limit", "1", "--force").Code.ShouldBe(ExitCode.Done);
    }

    [Theory]
    [InlineData("--engine", "vllm", "libllama")]
    [InlineData("--cache-type", "q4_0", "f32, f16 or bf16")]
    [InlineData("--flash-attention", "auto", "on or off")]
    [InlineData("--scale", "2", "--adapter")]
    [InlineData("--limit", "0", "--limit 0")]
    [InlineData("--offset", "9", "2 rows")]
    [InlineData("--tasks", "mmlu", "57 tasks of it have no data")]
    [InlineData("--tasks", "mmlu_stem", "cais/mmlu")]
    [InlineData("--fewshot-as-multiturn", "--bos", "--chat-template")]
    [InlineData("--tasks", "piqa", "piqa/validation.jsonl")]
    public void WhatCannotBeHonouredIsRefused(string option, string value, string named)
    {
        var answer = Bench("--out", At("bad"), option, value);
        answer.Code.ShouldBe(ExitCode.Usage, answer.Error);
        answer.Error.ShouldContain(named);
        Directory.Exists(At("bad")).ShouldBeFalse();
    }

    [Fact]
    public void AGroupRunsWithoutAbsentMembersWhereAsked()
    {
        foreach (var subject in new[] { "anatomy", "virology", "philosophy" })
        {
            Directory.CreateDirectory(At($"mmlu/{subject}"));
            File.WriteAllText(
                At($"mmlu/{subject}/test.jsonl"),
                """{"question": "q", "subject": "s", "choices": ["a", "b", "c", "d"], "answer": 1}"""
            );
        }
        var refused = Bench("--out", At("bad"), "--tasks", "mmlu");
        refused.Code.ShouldBe(ExitCode.Usage);
        refused.Error.ShouldContain("54 tasks of it have no data");
        refused.Error.ShouldContain("mmlu_abstract_algebra");
        var answer = Bench("--out", At("r"), "--tasks", "mmlu", "--allow-missing", "--json");
        answer.Code.ShouldBe(ExitCode.Done, answer.Error);
        answer.Error.ShouldContain("54 tasks");
        using var json = JsonDocument.Parse(answer.Output);
        json.RootElement.GetProperty("metrics")
            .EnumerateArray()
            .Select(row => (row.GetProperty("task").GetString(), row.GetProperty("n").GetInt32()))
            .ShouldBe([
                ("mmlu_anatomy", 1),
                ("mmlu_philosophy", 1),
                ("mmlu_virology", 1),
                ("mmlu (3 of 57)", 3),
                ("mmlu_stem (1 of 19)", 1),
                ("mmlu_humanities (1 of 13)", 1),
                ("mmlu_other (1 of 13)", 1),
                ("mmlu_hendrycks_humanities (1 of 13)", 1),
                ("mmlu_hendrycks_other (2 of 14)", 2),
            ]);
        var first = Cli.Run(["results", At("r"), "--format", "jsonl"]).Output.Split('\n')[0];
        first.ShouldContain("\"subject\":\"anatomy\"");
        first.ShouldContain("\"groups\":[\"mmlu (3 of 57)\"");
        var again = Cli.Run(["rescore", At("r"), "--out", At("again"), "--json"]);
        again.Code.ShouldBe(ExitCode.Done, again.Error);
        again.Output.ShouldContain("mmlu_hendrycks_other (2 of 14)");
        // MMLU is one task of a comparison: its parts are shown and not tested beside it.
        var compared = Cli.Run(["compare", At("r"), At("again"), "--json"]);
        compared.Code.ShouldBe(ExitCode.Done, compared.Error);
        using var comparison = JsonDocument.Parse(compared.Output);
        var tasks = comparison.RootElement.GetProperty("runs")[0].GetProperty("tasks").EnumerateArray().ToList();
        tasks.Count.ShouldBe(9);
        foreach (var task in tasks)
        {
            var whole = task.GetProperty("task").GetString() == "mmlu (3 of 57)";
            var metric = task.GetProperty("metrics")[0];
            (metric.GetProperty("p_holm").ValueKind == JsonValueKind.Number).ShouldBe(whole);
            (metric.GetProperty("verdict").ValueKind == JsonValueKind.String).ShouldBe(whole);
            task.GetProperty("part_of").GetString().ShouldBe(whole ? null : "mmlu (3 of 57)");
        }
        tasks
            .Single(task => task.GetProperty("task").GetString() == "mmlu_hendrycks_other (2 of 14)")
            .GetProperty("metrics")[0]
            .GetProperty("n")
            .GetInt32()
            .ShouldBe(2);
    }

    [Fact]
    public void TheListSaysWhichDataAreAtHand()
    {
        Directory.CreateDirectory(At("piqa"));
        Directory.CreateDirectory(At("corpora"));
        File.WriteAllLines(
            At("piqa/validation.jsonl"),
            Enumerable.Repeat("""{"goal": "g", "sol1": "a", "sol2": "b", "label": 0}""", 3)
        );
        File.WriteAllText(At("corpora/ptb.test.txt"), "a\nb\n");
        var table = Cli.Run(["bench", "--list", "--data-dir", _folder.FullName]);
        table.Code.ShouldBe(ExitCode.Done, table.Error);
        using var json = JsonDocument.Parse(
            Cli.Run(["bench", "--list", "--data-dir", _folder.FullName, "--json"]).Output
        );
        var tasks = json
            .RootElement.GetProperty("tasks")
            .EnumerateArray()
            .ToDictionary(task => task.GetProperty("name").GetString()!);
        tasks.Keys.ShouldContain("mmlu");
        tasks["piqa"].GetProperty("at_hand").GetProperty("rows").GetInt32().ShouldBe(3);
        tasks["piqa"].GetProperty("items").GetInt32().ShouldBe(1838);
        tasks["gsm8k_cot"].GetProperty("shots").GetInt32().ShouldBe(8);
        tasks["ptb"].GetProperty("at_hand").GetProperty("stand_in").GetBoolean().ShouldBeTrue();
        var squad = tasks["squad"];
        squad.GetProperty("at_hand").GetProperty("file").ValueKind.ShouldBe(JsonValueKind.Null);
        squad.GetProperty("source").GetString()!.ShouldContain("rajpurkar/squad");
        tasks["mmlu"].GetProperty("members").GetArrayLength().ShouldBe(57);
    }

    [Fact]
    public void ABadRowLeavesNoFolder()
    {
        File.WriteAllText(At("letters.jsonl"), """{"question": "x", "answer": 5}""");
        var answer = Bench("--out", At("bad"));
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain("row 0");
        Directory.Exists(At("bad")).ShouldBeFalse();
    }

    [Fact]
    public void GenerateAnswersWithTextOrOneObject()
    {
        string[] args = ["generate", "--model", Model(), "--prompt", "abc", "--max-tokens", "4", "--threads", "1"];
        var text = Cli.Run(args);
        text.Code.ShouldBe(ExitCode.Done, text.Error);
        using var json = JsonDocument.Parse(Cli.Run([.. args, "--json"]).Output);
        json.RootElement.GetProperty("text").GetString().ShouldBe(text.Output.TrimEnd('\n'));
        json.RootElement.GetProperty("ids").GetArrayLength().ShouldBeLessThanOrEqualTo(4);
        using var beams = JsonDocument.Parse(Cli.Run([.. args, "--json", "--beams", "2"]).Output);
        beams.RootElement.GetProperty("beams").GetArrayLength().ShouldBe(2);
        Cli.Run([.. args, "--beams", "2", "--temperature", "1"]).Code.ShouldBe(ExitCode.Usage);
        Cli.Run([.. args, "--scale", "2"]).Error.ShouldContain("--adapter");
        Cli.Run(["generate", "--model", Model(), "--prompt", "hi", "--chat", "--max-tokens", "2", "--threads", "1"])
            .Code.ShouldBe(ExitCode.Done);
    }

    private static string Model() => Cli.Fixture("arch-llama/model-f32.gguf");

    private string At(string name) => Path.Combine(_folder.FullName, name);

    private CliAnswer Bench(params string[] more)
    {
        string[] tasks = more.Contains("--tasks") ? [] : ["--tasks", At("letters.yaml")];
        return Cli.Run([
            "bench",
            "--model",
            Model(),
            "--data-dir",
            _folder.FullName,
            "--threads",
            "1",
            .. tasks,
            .. more,
        ]);
    }
}
