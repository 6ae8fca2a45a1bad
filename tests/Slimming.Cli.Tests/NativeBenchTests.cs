using System.Text.Json;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary><c>bench --engine native</c> beside libllama, on an f32 model and an adapter trained on it.</summary>
public sealed class NativeBenchTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public NativeBenchTests()
    {
        _folder.Write("letters.yaml", Choices("letters"));
        _folder.Write(
            "letters.jsonl",
            string.Concat(Enumerable.Range(0, 40).Select(i => $"{{\"question\": \"q {i} is\", \"answer\": {i % 2}}}\n"))
        );
        _folder.Write("text.yaml", Text("text", "perplexity", "token_perplexity") + "\nwindows: disjoint\n");
        _folder.Write("kl.yaml", Text("kl_text", "divergence", "mean_kl"));
        _folder.Write("text.txt", string.Concat(Enumerable.Range(0, 60).Select(i => $"line {i} of {i * i}. ")));
        _folder.Write(
            "answers.yaml",
            """
            name: answers
            kind: generate_until
            data: [letters.jsonl]
            prompt: "{question}"
            target: "{answer}"
            stops: ["."]
            metrics: [exact_match]
            """
        );
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void ItScoresWhatLibllamaScores()
    {
        Cli.Done(new TinyRun(_folder).Lora("run", "--model", Model));
        var adapter = Path.Combine(_folder["run"], "adapter.gguf");
        string[][] models =
        [
            [],
            ["--adapter", adapter],
            ["--adapter", adapter, "--scale", "0.5"],
        ];
        List<List<double>> all = [];
        foreach (var (i, model) in models.Index())
        {
            var llama = Rows(Bench($"llama{i}", ["letters.yaml", "text.yaml"], model));
            var native = Rows(Bench($"native{i}", ["letters.yaml", "text.yaml"], [.. model, "--engine", "native"]));
            native.Count.ShouldBe(llama.Count);
            foreach (var (own, other) in native.Zip(llama))
            {
                own.ShouldBe(other, 0.002);
            }
            all.Add(native);
        }
        all[1].ShouldNotBe(all[0]);
        all[2].ShouldNotBe(all[1]);
    }

    [Fact]
    public void ResultsCarryTheEngineAndRunsOfTwoEnginesAreNoPair()
    {
        Bench("llama", ["letters.yaml"], []);
        Bench("native", ["letters.yaml"], ["--engine", "native"]);
        Bench("bf16", ["letters.yaml"], ["--engine", "native", "--compute", "bf16"]);
        Bench("tuned", ["letters.yaml"], ["--engine", "native", "--threads", "2"]);
        Compare("native", "tuned").Code.ShouldBe(ExitCode.Done);
        var engines = Compare("llama", "native");
        engines.Code.ShouldBe(ExitCode.Usage);
        engines.Error.ShouldContain("engine differs: libllama");
        engines.Error.ShouldContain("native");
        Compare("native", "bf16")
            .Error.ShouldContain($"compute differs: f32 in {_folder["native"]}, bf16 in {_folder["bf16"]}");
        var run = Directory.GetFiles(_folder["native"], "run.json", SearchOption.AllDirectories).Single();
        using var json = JsonDocument.Parse(File.ReadAllText(run));
        var settings = json.RootElement.GetProperty("settings");
        settings.GetProperty("engine").GetString().ShouldStartWith("native ");
        settings.GetProperty("batch_plan").GetString().ShouldBe("32 items, n_batch 1024");
        Rows(_folder["native"]).ShouldBe(Rows(_folder["tuned"]));
    }

    [Theory]
    [InlineData("answers.yaml,letters.yaml", "--limit", "3", "--engine native cannot run answers: ")]
    [InlineData("kl.yaml", "--reference-model", "@model", "--engine native cannot run kl_text: ")]
    [InlineData("letters.yaml", "--cache-type", "f16", "--cache-type is an option of --engine libllama")]
    [InlineData("letters.yaml", "--flash-attention", "off", "--flash-attention is an option of --engine libllama")]
    [InlineData("letters.yaml", "--compute", "fp8", "--compute fp8: expected one of auto, f32, bf16, int8")]
    [InlineData("letters.yaml", "--adapter", "@model", "lora_a")]
    public void WhatItCannotDoIsRefusedBeforeAnythingRuns(string tasks, string option, string value, string named)
    {
        var answer = Cli.Run([
            .. Args("bad", tasks.Split(',')),
            "--engine",
            "native",
            option,
            value == "@model" ? Model : value,
        ]);
        answer.Code.ShouldBe(ExitCode.Usage, answer.Error);
        answer.Error.ShouldContain(named);
        Directory.Exists(_folder["bad"]).ShouldBeFalse();
    }

    [Fact]
    public void ComputeIsAnOptionOfNativeAlone() =>
        Cli.Run([.. Args("bad", ["letters.yaml"]), "--compute", "bf16"])
            .Error.ShouldContain("--compute is an option of --engine native");

    [Fact]
    public void NaNAndATooShortContextNameTaskAndRow()
    {
        var broken = _folder["nan.gguf"];
        File.Copy(Model, broken);
        long at;
        using (var file = GgufFile.Open(broken))
        {
            at = file.DataOffset + (long)file.Find("output_norm.weight")!.Offset;
        }
        using (var bytes = new FileStream(broken, FileMode.Open))
        {
            bytes.Position = at;
            bytes.Write(BitConverter.GetBytes(float.NaN));
        }
        var nan = Cli.Run([.. Args("nan", ["letters.yaml"], broken), "--engine", "native"]);
        nan.Code.ShouldBe(ExitCode.Failed, nan.Error);
        nan.Error.ShouldContain("task letters, doc 0, choice 0: log-likelihood is NaN");

        var answer = string.Concat(Enumerable.Repeat("x y ", 4000));
        var task = Choices("long").Replace("[a, b]", $"[a, \"{answer}\"]", StringComparison.Ordinal);
        _folder.Write("long.yaml", task);
        _folder.Write("letters.jsonl", """{"question": "q", "answer": 0}""");
        var far = Cli.Run([.. Args("long", ["long.yaml"]), "--engine", "native"]);
        far.Code.ShouldBe(ExitCode.Usage, far.Error);
        far.Error.ShouldContain("task long, doc 0, choice 1");
        far.Error.ShouldContain("do not fit the model's context");
    }

    private static string Model => Cli.Fixture("arch-llama/model-f32.gguf");

    private CliAnswer Compare(string start, string tuned) =>
        Cli.Run(["compare", _folder[start], _folder[tuned], "--json"]);

    private string Bench(string name, string[] tasks, string[] more)
    {
        Cli.Done([.. Args(name, tasks), .. more]);
        return _folder[name];
    }

    private string[] Args(string name, string[] tasks, string? model = null) =>
        [
            "bench",
            "--model",
            model ?? Model,
            "--data-dir",
            _folder.Path,
            "--tasks",
            string.Join(',', tasks.Select(task => _folder[task])),
            "--out",
            _folder[name],
        ];

    /// <summary>Every number that a run scored, in the order of its rows.</summary>
    private static List<double> Rows(string folder)
    {
        List<double> numbers = [];
        var lines = Cli.Done("results", folder, "--format", "jsonl").Output;
        foreach (var line in lines.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            using var row = JsonDocument.Parse(line);
            if (row.RootElement.TryGetProperty("nll", out var nll) && nll.ValueKind == JsonValueKind.Number)
            {
                numbers.Add(nll.GetDouble());
            }
            else
            {
                var choices = row.RootElement.GetProperty("choice_logprobs").EnumerateArray();
                numbers.AddRange(choices.Select(choice => choice.GetDouble()));
            }
        }
        numbers.ShouldNotBeEmpty();
        return numbers;
    }

    private static string Choices(string name) =>
        $$"""
            name: {{name}}
            kind: multiple_choice
            data: [letters.jsonl]
            prompt: "{question}"
            choices: [a, b]
            gold: "{answer}"
            metrics: [acc]
            """;

    private static string Text(string name, string kind, string metric) =>
        $$"""
            name: {{name}}
            kind: {{kind}}
            data: [text.txt]
            prompt: "{text}"
            window_length: 32
            metrics: [{{metric}}]
            """;
}
