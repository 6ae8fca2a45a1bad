using System.Text.Json;
using Slimming.Results;

namespace Slimming.Training.Tests.Data;

/// <summary>The same rows in every kind of file are the same samples.</summary>
public sealed class SameRowsTests : DataFolder
{
    private static readonly ByteTokenizer s_bytes = new();
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    /// <summary>Texts that readers like to change: quotes, line feeds, commas, numbers, dates, null, emptiness.</summary>
    private static readonly string[] s_texts =
    [
        "plain",
        "say \"hi\", then\nleave",
        "007",
        "1.50",
        "2024-01-01",
        "true",
        "null",
        "NULL",
        " spaces ",
        "tab\there; semi",
        "žluťoučký 🐎",
        "[1, 2]",
        "{\"a\": 1}",
        "'single' \\ back",
        "# hash",
    ];

    private static object[] Rows(string kind) =>
        kind switch
        {
            "alpaca" =>
            [
                .. s_texts.Select(
                    (t, i) =>
                        new
                        {
                            instruction = t,
                            input = i % 3 == 0 ? "" : t,
                            output = t,
                        }
                ),
                new
                {
                    instruction = "empty",
                    input = "",
                    output = "",
                },
            ],
            "prompt" => [.. s_texts.Select(t => new { prompt = t, completion = t })],
            "text" => [.. s_texts.Select((t, i) => new { n = i, text = t })],
            "messages" =>
            [
                .. s_texts.Select(t => new
                {
                    messages = new[]
                    {
                        new { role = "user", content = t },
                        new { role = "assistant", content = t },
                        new { role = "user", content = "more" },
                        new { role = "assistant", content = t },
                    },
                }),
            ],
            _ =>
            [
                .. Enumerable
                    .Range(1, 9)
                    .Select(n => new
                    {
                        input_ids = Enumerable.Range(n, n + 1).ToArray(),
                        labels = Enumerable.Range(n, n + 1).Select(i => i % 4 == 0 ? -100 : 255 - i).ToArray(),
                    }),
            ],
        };

    [Theory]
    [InlineData("alpaca")]
    [InlineData("prompt")]
    [InlineData("text")]
    [InlineData("messages")]
    [InlineData("ids")]
    public void AreTheSameSamples(string kind)
    {
        var rows = Rows(kind);
        var jsonl = WriteRows("a.jsonl", rows);
        var json = Write("a.json", JsonSerializer.Serialize(rows, s_indented));
        var csv = Write("a.csv", Csv(jsonl));
        var parquet = InFolder("a.parquet");
        using (var db = DuckDb.Open())
        {
            var columns = kind == "ids" ? "" : ", dateformat = 'none', timestampformat = 'none'";
            db.Execute(
                $"COPY (SELECT * FROM read_json({DuckDb.Quote(jsonl)}{columns}, sample_size = -1)) "
                    + $"TO {DuckDb.Quote(parquet)} (FORMAT parquet)"
            );
        }
        var expected = Samples(jsonl);
        expected.Length.ShouldBe(rows.Length);
        foreach (var file in new[] { json, csv, parquet })
        {
            Samples(file).ShouldBe(expected, file);
        }
    }

    private static string[] Samples(string file) =>
        [
            .. Load(s_bytes, "chatml", file)
                .Samples.Select(s => $"{s.Row}: {string.Join(' ', s.Tokens)} | {string.Join(' ', s.Targets)}"),
        ];

    /// <summary>Lists as JSON texts, as spreadsheets and data frames write them.</summary>
    private static string[] Csv(string jsonl)
    {
        var rows = File.ReadLines(jsonl).Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        string[] names = [.. rows[0].EnumerateObject().Select(p => p.Name)];
        static string Field(JsonElement value) =>
            "\""
            + (value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText()).Replace("\"", "\"\"")
            + "\"";
        return
        [
            string.Join(',', names),
            .. rows.Select(row => string.Join(',', names.Select(name => Field(row.GetProperty(name))))),
        ];
    }
}
