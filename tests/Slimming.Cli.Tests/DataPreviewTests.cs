using System.Text.Json;
using Slimming.Gguf;
using Slimming.TestSupport;

namespace Slimming.Cli.Tests;

public sealed class DataPreviewTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName() + ".jsonl";

    public void Dispose() => File.Delete(_file);

    private (ExitCode Code, string Output, string Error) Run(params string[] more)
    {
        var model = SharedFiles.Require("models/SmolLM2-135M-Instruct.Q4_1.gguf");
        using StringWriter output = new();
        using StringWriter error = new();
        var code = Program.Run(["data", "preview", "--model", model, "--data", _file, .. more], output, error);
        return (code, output.ToString(), error.ToString());
    }

    [Fact]
    public void LearntTokensStandBetweenMarks()
    {
        File.WriteAllText(_file, """{"instruction":"Say ž","output":"ž 🐎 \u001b[31m"}""");
        var (code, output, error) = Run("--template", "chatml");
        code.ShouldBe(ExitCode.Done);
        error.ShouldBe("");
        output.ShouldContain("<|im_start|>assistant\n[[ž 🐎 \\u001b[31m<|im_end|>]]\n");
        output.ShouldContain("samples kept");
        output.ShouldContain("template: chatml");
    }

    [Fact]
    public void JsonIsOneObjectWithUnshiftedLabels()
    {
        File.WriteAllText(_file, """{"prompt":"a b","completion":" c"}""");
        var (code, output, _) = Run("--json", "--limit", "1");
        code.ShouldBe(ExitCode.Done);
        using var parsed = JsonDocument.Parse(output);
        parsed.RootElement.GetProperty("counts").GetProperty("targets").GetInt64().ShouldBe(2);
        var sample = parsed.RootElement.GetProperty("samples")[0];
        sample.GetProperty("labels").GetArrayLength().ShouldBe(sample.GetProperty("input_ids").GetArrayLength());
        sample.GetProperty("labels")[0].GetInt32().ShouldBe(-100);
        sample.GetProperty("learnt").GetString().ShouldBe(" c<|im_end|>");
    }

    [Fact]
    public void WhatIsLeftOutIsShownWithItsReason()
    {
        File.WriteAllLines(
            _file,
            [
                """{"n":1,"prompt":"a b","completion":" c"}""",
                """{"n":2,"prompt":"a b","completion":" c d e f g h i j k l m n o p"}""",
                """{"n":3,"prompt":"a b c d e f g h i j","completion":" k"}""",
                """{"n":4,"prompt":"x","completion":"y"}""",
                """{"n":5,"prompt":"x","completion":"y"}""",
            ]
        );
        string[] options = ["--where", "n <> 4", "--max-length", "8"];
        var (code, output, error) = Run(options);
        code.ShouldBe(ExitCode.Done, error);
        output.ShouldMatch(@"rows left out by --where\s+1\n");
        output.ShouldMatch(@"rows truncated\s+1\n");
        output.ShouldContain(
            $"truncated (the first rows):\n  {_file}, row 1: 17 tokens, cut to 8; 9 learnt ones lost\n"
        );
        output.ShouldContain(
            $"left out without a target (the first rows):\n  {_file}, row 2: its first learnt token is number 11, "
                + "--max-length keeps 8\n"
        );

        using var parsed = JsonDocument.Parse(
            Run([.. options, "--json", "--overlong", "drop", "--sample", "3"]).Output
        );
        parsed.RootElement.GetProperty("counts").GetProperty("filtered").GetInt64().ShouldBe(1);
        parsed.RootElement.GetProperty("counts").GetProperty("not_drawn").GetInt64().ShouldBe(1);
        parsed.RootElement.GetProperty("remarks")[0].GetProperty("fate").GetString().ShouldBe("dropped");
    }

    [Theory]
    [InlineData("--sample", "0")]
    [InlineData("--eval-fraction", "1")]
    [InlineData("--where", " ")]
    [InlineData("--seed", "-1")]
    public void OptionsOutOfRangeAreRefused(string name, string value)
    {
        File.WriteAllText(_file, """{"text":"a b"}""");
        var (code, _, error) = Run(name, value);
        code.ShouldBe(ExitCode.Usage);
        error.ShouldStartWith($"error: {name}");
    }

    [Fact]
    public void LongLinesAreNotBroken()
    {
        var line = new string('x', 5000);
        File.WriteAllText(_file, JsonSerializer.Serialize(new { text = line }));
        Run("--max-length", "10000").Output.ShouldContain(line[..4000]);
    }

    [Fact]
    public void BadInputIsOneMessage()
    {
        File.WriteAllText(_file, """{"question":"a"}""");
        var (code, output, error) = Run();
        code.ShouldBe(ExitCode.Usage);
        output.ShouldBe("");
        error.ShouldStartWith($"error: {_file}, row 0");
        error.ShouldNotContain("   at ");
    }

    [Fact]
    public void AnswersThatDoNotEndAreWarnedAbout()
    {
        File.WriteAllText(_file, """{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}""");
        var template = _file + ".jinja";
        File.WriteAllText(template, "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}");
        var (code, _, error) = Run("--template", template);
        File.Delete(template);
        code.ShouldBe(ExitCode.Done);
        error.ShouldContain("warning: 1 of 1 rows");
    }
}
