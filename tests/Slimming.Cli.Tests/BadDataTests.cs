using System.Text;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary>Data that cannot be trained on, as <c>train</c> answers it: exit code 2, one message, nothing left behind.</summary>
public sealed class BadDataTests : IDisposable
{
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    /// <summary>File name, its text in Latin-1, more options, and texts that the message must hold.</summary>
    public static TheoryData<string, string, string[], string[]> Cases =>
        new()
        {
            {
                "a.jsonl",
                """{"messages":[{"content":"hi"}]}""",
                ["--template", "chatml"],
                ["row 0", "turn 0: no role", "expected a text in 'role'"]
            },
            {
                "a.jsonl",
                """{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":""}]}""",
                ["--template", "chatml"],
                ["row 0", "turn 1: the assistant's content is an empty text", "expected an answer"]
            },
            {
                "a.jsonl",
                """{"messages":[{"role":"user","content":["hi"]}]}""",
                ["--template", "chatml"],
                ["row 0", "turn 0", "no text"]
            },
            {
                "a.jsonl",
                Ids(5) + Ids(600),
                [],
                ["row 1", "600 tokens, but the model was trained for 512", "--max-length 512"]
            },
            {
                "a.jsonl",
                Ids(30) + Ids(31),
                ["--max-length", "20", "--overlong", "drop"],
                ["no sample is left of 2 rows", "2 longer than --max-length 20"]
            },
            {
                "a.jsonl",
                Ids(3) + "{\"text\":\"a\"}\n",
                [],
                ["row 1", "'input_ids' holds nothing; expected a list (columns found: text)"]
            },
            { "a.jsonl", """{"input_ids":["1","2"],"labels":["1","2"]}""", [], ["row 0", "element 0: a text ('1')"] },
            { "a.jsonl", """{"input_ids":[1,2],"labels":[-1,2]}""", [], ["row 0", "labels, element 0: -1", "0 to"] },
            { "a.jsonl", """{"input_ids":[1,2,3],"labels":[1,2]}""", [], ["row 0", "3 values, labels 2"] },
            { "a.jsonl", """{"input_ids":5,"labels":[1]}""", [], ["row 0", "'input_ids' holds 5; expected a list"] },
            {
                "a.jsonl",
                """{"instruction":7,"output":"a"}""",
                [],
                ["row 0", "'instruction' holds 7; expected a text"]
            },
            { "a.jsonl", """{"prompt":"a","answer":"b"}""", [], ["row 0", "unknown columns: prompt, answer"] },
            { "a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\u00e9\"}", [], ["line 2, byte 11: found 0xE9", "UTF-8"] },
            { "a.csv", "text\na\nb\u00e9\n", [], ["line 3, byte 2: found 0xE9", "UTF-8"] },
            { "a.csv", "prompt,completion\na,b\nc,d,e\n", [], ["line 3: found 3 fields, expected 2"] },
            { "a.json", "{\"text\": \"a\"", [], ["cannot be read"] },
            { "a.parquet", "PAR1 and no more", [], ["cannot be read"] },
            { "a.jsonl", Ids(5), ["--where", "length > 3"], ["--where \"length > 3\"", "length"] },
            { "a.jsonl", Ids(5), ["--where", "len(input_ids) > 9"], ["no sample is left", "1 left out by --where"] },
            { "a.jsonl", Ids(5), ["--eval-fraction", "0.5"], ["--eval-fraction 0.5 holds out 1 of 1 rows"] },
            { "a.jsonl:0", Ids(5), [], ["expected a weight above 0"] },
        };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Is_answered_with_one_message_and_leaves_nothing(
        string name,
        string latin1,
        string[] options,
        string[] texts
    )
    {
        var file = _temp[name.Split(':')[0]];
        File.WriteAllBytes(file, Encoding.Latin1.GetBytes(latin1));
        var model = Cli.Fixture("arch-llama/model-q8_0.gguf");

        var answer = Cli.Run(["train", "--model", model, "--data", _temp[name], "--out", _temp["run"], .. options]);

        answer.Code.ShouldBe(ExitCode.Usage, answer.Error);
        answer.Output.ShouldBeEmpty();
        string[] all = [file, .. texts];
        foreach (var text in all)
        {
            answer.Error.ShouldContain(text, Case.Sensitive);
        }
        answer.Error.Split("error:").Length.ShouldBe(2, answer.Error);
        answer.Error.ShouldNotContain("   at ");
        Directory.GetFileSystemEntries(_temp.Path).ShouldBe([file]);
    }

    private static string Ids(int count)
    {
        var ids = string.Join(',', Enumerable.Range(1, count).Select(i => i % 300));
        return $"{{\"input_ids\":[{ids}],\"labels\":[{ids}]}}\n";
    }
}
