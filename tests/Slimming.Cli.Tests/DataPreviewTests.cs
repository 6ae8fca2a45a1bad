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
