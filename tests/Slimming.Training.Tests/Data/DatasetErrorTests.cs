using System.IO.Compression;
using System.Text;
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
            {
                "chatml",
                "a.jsonl",
                """{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":""}]}""",
                ["row 0", "turn 1", "empty text", "expected an answer"]
            },
            {
                "chatml",
                "a.jsonl",
                $$"""{"messages":[{{string.Join(',', Enumerable.Repeat("""{"role":"user","content":"a"}""", 301))}}]}""",
                ["row 0", "turn 300: expected at most 300 turns"]
            },
            { "chatml", "a.jsonl", """{"messages":["hello"]}""", ["row 0", "turn 0", "a text ('hello')", "object"] },
            { "chatml", "a.csv", "messages\n[1", ["row 0", "no JSON list"] },
            { "chatml", "a.csv", "messages\nhello", ["row 0", "a text ('hello')", "expected a list"] },
            { "auto", "a.jsonl", """{"input_ids":["1","2"],"labels":[1,2]}""", ["element 0: a text ('1')", "number"] },
            { "auto", "a.jsonl", """{"input_ids":[1,99999999999],"labels":[1,2]}""", ["element 1: 99999999999"] },
            { "auto", "a.jsonl", """{"input_ids":[],"labels":[]}""", ["no sample is left", "1 without a target"] },
            {
                "auto",
                "a.jsonl",
                """{"input_ids":[1,2],"labels":[1,2],"attention_mask":[0,0]}""",
                ["row 0", "attention_mask", "ones without a gap"]
            },
            { "auto", "a.jsonl", "{\"text\":\"a\"}\n{\"text\":7}", ["row 1", "'text' holds 7", "expected a text"] },
            {
                "alpaca",
                "a.jsonl",
                "{\"instruction\":\"a\",\"output\":\"b\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}",
                ["row 1", "'instruction' is missing", "columns found: prompt, completion"]
            },
            {
                "alpaca",
                "a.json",
                """[{"instruction":"a","output":"b"},{"messages":[]}]""",
                ["row 1", "'instruction' is missing", "columns found: messages"]
            },
            { "auto", "a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"\\ud800\"}", ["line 2", "expected"] },
            { "auto", "a.jsonl", "{\"text\":\"a\"}\n\n{\"text\":\"b\"", ["line 3, byte", "one on each line"] },
            { "auto", "a.csv", "text,b\na,b\n\nc,d,e", ["line 4: found 3 fields, expected 2", "in quotes"] },
            { "auto", "a.csv", "text,b\n\"a\nb\",c\nd\n", ["line 4: found 1 fields, expected 2"] },
            { "auto", "a.csv", "text,b\na,\"b\nc,d\n", ["line 2", "never closes"] },
            { "auto", "a.tsv", "text\tb\na\t\"b\"c\n", ["line 2", "behind a closing quote", "'tab'"] },
            { "auto", "a.csv", "text", ["no rows"] },
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

    [Theory]
    [InlineData("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\u00ff\"}", "line 2, byte 11")]
    [InlineData("a.json", "[{\"text\":\"a\"},\n{\"text\":\"b\u00ff\"}]", "line 2, byte 11")]
    [InlineData("a.csv", "text,n\na,1\nb\u00ff,2", "line 3, byte 2")]
    [InlineData("a.csv.gz", "text,n\na,1\nb\u00ff,2", "line 3, byte 2")]
    public void BytesThatAreNoUtf8AreNamedWithTheirPlace(string name, string latin1, string place)
    {
        var file = InFolder(name);
        using (Stream stream = File.Create(file))
        using (
            Stream packed = name.EndsWith(".gz", StringComparison.Ordinal)
                ? new GZipStream(stream, CompressionLevel.Fastest)
                : stream
        )
        {
            packed.Write(Encoding.Latin1.GetBytes(latin1));
        }
        Should
            .Throw<SlimmingException>(() => Load(s_bytes, "auto", file))
            .Message.ShouldBe(
                $"{file}: cannot be read: {place}: found 0xFF, which is no UTF-8; expected a text in UTF-8"
            );
    }

    [Theory]
    [InlineData("text\na;b\nc;d\n", "a;b")]
    [InlineData("n;text\n1;a,b\n2;c,d\n", "a,b")]
    [InlineData("n\ttext\r\n1\t\"a\tb\"\r\n2\tc\r\n", "a\tb")]
    [InlineData("\ufefftext,n\n# no remark,1\nb,2\n", "# no remark")]
    [InlineData("text,n\n\"a\n\"\"b\"\", c\",1\n\n", "a\n\"b\", c")]
    public void SeparatorsComeFromTheHeaderAlone(string csv, string first) =>
        s_bytes.Text(Load(s_bytes, "auto", Write("a.csv", csv)).Samples[0].Tokens).ShouldBe(first + "</s>");

    [Fact]
    public void ColumnsMayHaveAnyName()
    {
        // DuckDB takes the name of a table for a column first.
        var file = Write("a.csv", "t,slimming,text", "1,2,abc");
        s_bytes.Text(Load(s_bytes, "auto", file).Samples.ShouldHaveSingleItem().Tokens).ShouldBe("abc</s>");
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
