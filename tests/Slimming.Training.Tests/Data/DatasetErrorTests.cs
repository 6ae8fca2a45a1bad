using Slimming.Gguf;

namespace Slimming.Training.Tests.Data;

public sealed class DatasetErrorTests : DataFolder
{
    private static readonly ByteTokenizer s_bytes = new();

    public static TheoryData<string, string, string, string[]> Rows =>
        new()
        {
            {
                "auto",
                "a.jsonl",
                """{"question":"a","answer":"b"}""",
                ["row 0", "question, answer", "input_ids/labels"]
            },
            { "auto", "a.jsonl", """{"instruction":"a"}""", ["unknown columns: instruction"] },
            { "alpaca", "a.jsonl", """{"instruction":"a","output":null}""", ["row 0", "'output' is missing or null"] },
            { "alpaca", "a.jsonl", """{"instruction":"a","output":5}""", ["'output' holds 5", "expected a text"] },
            { "chatml", "a.jsonl", """{"messages":[{"content":"a"}]}""", ["turn 0", "no role"] },
            {
                "chatml",
                "a.jsonl",
                """{"messages":[{"role":"narrator","content":"a"}]}""",
                ["unknown role 'narrator'"]
            },
            {
                "chatml",
                "a.jsonl",
                """{"messages":[{"role":"user","content":null}]}""",
                ["turn 0", "content is nothing"]
            },
            { "chatml", "a.jsonl", """{"messages":"hello"}""", ["'messages' holds a text", "expected a list"] },
            { "chatml", "a.jsonl", """{"messages":[]}""", ["empty list"] },
            { "chatml", "a.jsonl", """{"messages":[{"role":"user","content":"a"}]}""", ["1 without a target"] },
            { "alpaca", "a.jsonl", """{"messages":[{"role":"user","content":"a"}]}""", ["--template chatml"] },
            { "auto", "a.jsonl", """{"input_ids":[1,2],"labels":[1]}""", ["2 values, labels 1"] },
            { "auto", "a.jsonl", """{"input_ids":[1,9999],"labels":[1,9999]}""", ["element 1: 9999", "0 to 259"] },
            { "auto", "a.jsonl", """{"input_ids":[1,2.5],"labels":[1,2]}""", ["element 1: 2.5", "whole number"] },
            {
                "auto",
                "a.jsonl",
                """{"input_ids":[1,2],"labels":[1,9999]}""",
                ["labels, element 1: 9999", "-100 for no"]
            },
            { "auto", "a.jsonl", """{"input_ids":[1,2],"labels":[1,-1]}""", ["element 1: -1", "-100"] },
            { "auto", "a.jsonl", """[1, 2]""", ["row 0", "expected an object"] },
            { "auto", "a.jsonl", """{"text": "a" """, ["cannot be read"] },
            { "auto", "a.json", "[]", ["no rows"] },
            { "auto", "a.jsonl", "", ["the file is empty"] },
            { "auto", "a.docx", "x", ["unknown kind of file '.docx'", ".parquet"] },
            { "auto", "a.parquet", "not parquet at all", ["cannot be read"] },
            { "nonsense", "a.jsonl", """{"text": "a"}""", ["--template nonsense", "alpaca, chatml"] },
        };

    [Theory]
    [MemberData(nameof(Rows))]
    public void BadInputIsNamedWithItsPlace(string template, string name, string content, string[] expected)
    {
        var file = Write(name, content);
        var error = Should.Throw<SlimmingException>(() => Load(s_bytes, template, file));
        error.Code.ShouldBe(ExitCode.Usage);
        foreach (var part in expected)
        {
            error.Message.ShouldContain(part);
        }
        if (template != "nonsense")
        {
            error.Message.ShouldContain(file);
        }
    }

    [Fact]
    public void TheRowThatIsWrongIsTheOneNamed()
    {
        var file = WriteRows("a.jsonl", new { text = "a" }, new { text = "b" }, new { other = "c" });
        Should.Throw<SlimmingException>(() => Load(s_bytes, "auto", file)).Message.ShouldContain("row 2 (from 0)");
    }

    [Fact]
    public void MissingFilesAndFoldersAreNamed()
    {
        Should
            .Throw<SlimmingException>(() => Load(s_bytes, "auto", "/no/such.jsonl"))
            .Message.ShouldContain("/no/such.jsonl");
        Should
            .Throw<SlimmingException>(() => Load(s_bytes, "auto", InFolder("*.jsonl")))
            .Message.ShouldContain("no such");
        Should.Throw<SlimmingException>(() => Load(s_bytes, "auto", InFolder(""))).Message.ShouldContain("is a folder");
    }

    [Fact]
    public void ATemplateThatRefusesIsQuotedWithTheRow()
    {
        var template = Write("t.jinja", "{{ raise_exception('only haiku') }}");
        var file = WriteRows("a.jsonl", new { instruction = "a", output = "b" });
        var error = Should.Throw<SlimmingException>(() => Load(s_bytes, template, file));
        error.Message.ShouldContain("only haiku");
        error.Message.ShouldContain("row 0");
    }
}
