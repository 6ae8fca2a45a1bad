using Slimming.Results;
using Slimming.Training.Data;

namespace Slimming.Training.Tests.Data;

public sealed class DatasetTests : DataFolder
{
    private static readonly ByteTokenizer s_bytes = new();

    private const string AlpacaText =
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        + "### Instruction:\nAdd 2 and 2\n\n### Response:«4</s>»";

    private static string[] Marked(string template, string file, Func<DataOptions, DataOptions>? change = null) =>
        Load(s_bytes, template, file, change).Samples.Select(s_bytes.Marked).ToArray();

    [Fact]
    public void AlpacaIsWrittenToTheLetter()
    {
        var file = WriteRows(
            "a.jsonl",
            new
            {
                instruction = "Add 2 and 2",
                input = "",
                output = "4",
            },
            new
            {
                instruction = "Add",
                input = "2 and 2",
                output = "4",
            }
        );
        Marked("alpaca", file)
            .ShouldBe([
                AlpacaText,
                "Below is an instruction that describes a task, paired with an input that provides further context. "
                    + "Write a response that appropriately completes the request.\n\n"
                    + "### Instruction:\nAdd\n\n### Input:\n2 and 2\n\n### Response:«4</s>»",
            ]);
    }

    [Fact]
    public void AlpacaUnderAChatTemplateIsOneTurnAndOneAnswer()
    {
        var file = WriteRows(
            "a.jsonl",
            new
            {
                instruction = "Add",
                input = "2 and 2",
                output = "4",
            }
        );
        Marked("chatml", file)
            .ShouldBe(["<|im_start|>user\nAdd\n\n2 and 2<|im_end|>\n<|im_start|>assistant\n«4<|im_end|>»\n"]);
    }

    [Theory]
    [InlineData("auto", null, "### Response:«4</s>»")]
    [InlineData("auto", "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}", "«4</s>»")]
    public void AutoIsTheModelsOwnTemplateElseAlpaca(string option, string? modelTemplate, string end)
    {
        var file = WriteRows("a.jsonl", new { instruction = "Add 2 and 2", output = "4" });
        var set = Load(s_bytes, option, file, modelTemplate: modelTemplate);
        s_bytes.Marked(set.Samples[0]).ShouldEndWith(end);
        set.TemplateName.ShouldBe(modelTemplate is null ? "alpaca" : "model");
        (set.TemplateSha256 is null).ShouldBe(modelTemplate is null);
    }

    [Fact]
    public void ConversationsOfBothSpellingsAreTheSame()
    {
        object[] turns = [new { role = "user", content = "a" }, new { role = "assistant", content = "b" }];
        object[] shared = [new { from = "human", value = "a" }, new { from = "gpt", value = "b" }];
        const string expected = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n«b<|im_end|>»\n";
        Marked("chatml", WriteRows("m.jsonl", new { messages = turns })).ShouldBe([expected]);
        Marked("chatml", WriteRows("c.jsonl", new { conversations = shared })).ShouldBe([expected]);
        Marked("chatml", WriteRows("p.jsonl", new { prompt = turns[..1], completion = turns[1..] }))
            .ShouldBe([expected]);
    }

    [Fact]
    public void PromptAndCompletionAndText()
    {
        Marked("auto", WriteRows("p.jsonl", new { prompt = "Q: a\nA:", completion = " b" }))
            .ShouldBe(["Q: a\nA:« b</s>»"]);
        Marked("auto", WriteRows("t.jsonl", new { text = "abc" })).ShouldBe(["a«bc</s>»"]);
        Marked("auto", WriteRows("e.jsonl", new { text = "abc</s>" })).ShouldBe(["a«bc</s>»"]);
    }

    [Fact]
    public void TokenIdsAreTakenAsTheyAre()
    {
        var file = WriteRows(
            "i.jsonl",
            new
            {
                row = 7,
                input_ids = new[] { 5, 6, 7, 8 },
                labels = new[] { -100, -100, 7, 8 },
            }
        );
        var sample = Load(s_bytes, "auto", file).Samples.ShouldHaveSingleItem();
        sample.Tokens.ShouldBe([5, 6, 7, 8]);
        sample.Targets.ShouldBe([-1, 7, 8, -1]);
        sample.TargetCount.ShouldBe(2);
    }

    [Fact]
    public void LabelsMayDifferFromTheTokensTheyStandAt()
    {
        var file = WriteRows("i.jsonl", new { input_ids = new[] { 5, 6, 7, 8 }, labels = new[] { 9, -100, 0, 12 } });
        var set = Load(s_bytes, "auto", file);
        // What stands at the first place predicts nothing.
        set.Samples.ShouldHaveSingleItem().Targets.ShouldBe([-1, 0, 12, -1]);
        set.Counts.Targets.ShouldBe(2);
    }

    [Fact]
    public void PaddingByAttentionMaskIsTakenOff()
    {
        var file = WriteRows(
            "i.jsonl",
            new
            {
                input_ids = new[] { 0, 5, 6, 0 },
                labels = new[] { -100, 5, 6, -100 },
                attention_mask = new[] { 0, 1, 1, 0 },
            }
        );
        Load(s_bytes, "auto", file).Samples.ShouldHaveSingleItem().Tokens.ShouldBe([5, 6]);
    }

    [Fact]
    public void EveryKindOfFileReadsTheSame()
    {
        var jsonl = Write("a.jsonl", """{"instruction":"Add 2 and 2","input":null,"output":"4"}""");
        var json = Write("a.json", """[""", """ {"instruction":"Add 2 and 2","output":"4"}""", "]");
        var csv = Write("a.csv", "instruction,input,output", "Add 2 and 2,,4");
        var tsv = Write("a.tsv", "instruction\tinput\toutput", "Add 2 and 2\t\t4");
        var parquet = InFolder("a.parquet");
        using (var db = DuckDb.Open())
        {
            db.Execute(
                $"COPY (SELECT 'Add 2 and 2' AS instruction, '4' AS output) TO {DuckDb.Quote(parquet)} (FORMAT parquet)"
            );
        }
        foreach (var file in new[] { jsonl, json, csv, tsv, parquet })
        {
            Marked("alpaca", file).ShouldBe([AlpacaText], file);
        }
    }

    [Fact]
    public void ParquetListsAndStructsAreRead()
    {
        var parquet = InFolder("m.parquet");
        using (var db = DuckDb.Open())
        {
            db.Execute(
                "COPY (SELECT [{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': 'b'}] AS messages) "
                    + $"TO {DuckDb.Quote(parquet)} (FORMAT parquet)"
            );
        }
        Marked("chatml", parquet).ShouldBe(["<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n«b<|im_end|>»\n"]);
    }

    [Fact]
    public void TextThatLooksLikeSomethingElseStaysText()
    {
        var texts = new[] { "2026-01-01", "00:10:00", "1e5", "null", "[1, 2]", "true", "žluťoučký 🐎\0\r\n" };
        var file = WriteRows("t.jsonl", texts.Select(t => (object)new { text = t }).ToArray());
        Load(s_bytes, "auto", file).Samples.Select(s => s_bytes.Text(s.Tokens)).ShouldBe(texts.Select(t => t + "</s>"));
    }

    [Fact]
    public void RowsKeepTheirOrderOverFilesAndPatterns()
    {
        var names = Enumerable.Range(0, 3).Select(f => $"part-{f}.jsonl").ToArray();
        for (var f = 0; f < names.Length; f++)
        {
            WriteRows(names[f], Enumerable.Range(0, 5000).Select(i => (object)new { text = $"{f}/{i}" }).ToArray());
        }
        var set = Load(s_bytes, "auto", InFolder("part-*.jsonl"));
        set.Samples.Select(s => s_bytes.Text(s.Tokens[..^1]))
            .ShouldBe(Enumerable.Range(0, 15000).Select(i => $"{i / 5000}/{i % 5000}"));
        set.Samples[^1].Row.ShouldBe(4999);
        Load(s_bytes, "auto", "unused", o => o with { Files = [InFolder(names[1]), InFolder(names[0])] })
            .Samples[0]
            .Source.ShouldBe(InFolder(names[1]));
    }

    [Fact]
    public void FileNamesAreTakenLiterally()
    {
        var file = WriteRows("it's [a] *.jsonl", new { text = "abc" });
        Load(s_bytes, "auto", file).Counts.Rows.ShouldBe(1);
    }

    [Fact]
    public void LossOnAllPredictsEverythingButTheFirstToken()
    {
        var file = WriteRows("p.jsonl", new { prompt = "ab", completion = "c" });
        Marked("auto", file, o => o with { LossOn = LossOn.All }).ShouldBe(["a«bc</s>»"]);
        var chat = WriteRows("a.jsonl", new { instruction = "x", output = "y" });
        Marked("chatml", chat, o => o with { LossOn = LossOn.All })
            .ShouldBe(["<|im_start|>«user\nx<|im_end|>\n<|im_start|>assistant\ny<|im_end|>\n»"]);
    }
}
