using Slimming.Results;
using static Slimming.Cli.Tests.BadInput.BadCase;

namespace Slimming.Cli.Tests.BadInput;

/// <summary>Data that cannot be trained on.</summary>
internal static class BadData
{
    private static readonly string[] ChatMl = ["--template", "chatml"];

    public static IEnumerable<BadCase> Cases { get; } =
    [
        Usage("missing data", w => w.Train(Workshop.Model, w["absent.jsonl"]), "absent.jsonl: no such data file"),
        Usage(
            "data is a folder",
            w => w.Train(Workshop.Model, Directory.CreateDirectory(w["d"]).FullName),
            "d: is a folder; name files, or a pattern such as"
        ),
        Usage(
            "a pattern without files",
            w => w.Train(Workshop.Model, w["no-*.jsonl"]),
            "no-*.jsonl: no such data file"
        ),
        Rows("empty data", "a.jsonl", "", [], "the file is empty"),
        Packed(
            "rows that unpack without end",
            "a.jsonl.gz",
            BadTasks.Packed(200),
            "bytes of data in a packed file of",
            "unpack it (gunzip)"
        ),
        Packed(
            "a table that unpacks without end",
            "a.csv.gz",
            BadTasks.Packed(200),
            "bytes of data in a packed file of"
        ),
        Packed("packed data that are not", "a.csv.gz", "hello"u8.ToArray(), "cannot be read"),
        Parquet(
            "more rows than a file of this size can have",
            "SELECT 'a' AS text FROM range(1100000)",
            "expected 0 to 10",
            "the footer says 1100000"
        ),
        Parquet(
            "more columns than anybody needs",
            $"SELECT {string.Join(", ", Enumerable.Range(0, 2001).Select(i => $"{i} AS c{i}"))}",
            "expected at most 2000 columns"
        ),
        Parquet(
            "one text in all rows",
            "SELECT repeat('a b ', 1200) AS text FROM range(5000)",
            "expected at most 16 MiB and 50 times the size of the file in all rows of more than 256"
        ),
        Parquet(
            "a text that memory does not hold",
            "SELECT repeat('a b ', 2000000) AS text FROM range(50)",
            "Out of Memory Error",
            "is too large"
        ),
        Parquet("a deep row", $"SELECT {Deep(100)} AS text", "row 0 (from 0): cannot be read as JSON", "depth"),
        Rows("no rows", "a.json", "[]", [], "no rows; expected at least one"),
        Rows("unknown kind of file", "a.docx", "x", [], "unknown kind of file '.docx'; expected .json, .jsonl"),
        Rows(
            "unknown columns",
            "a.jsonl",
            """{"prompt":"a","answer":"b"}""",
            [],
            "row 0",
            "unknown columns: prompt, answer"
        ),
        Rows("torn JSONL", "a.jsonl", Ids(2) + "{\"input_ids\":[1,", [], "line 2, byte", "expected one on each line"),
        Rows("torn JSON", "a.json", "{\"text\": \"a\"", [], "cannot be read"),
        Rows("no Parquet", "a.parquet", "PAR1 and no more", [], "cannot be read"),
        Rows(
            "JSONL that is no UTF-8",
            "a.jsonl",
            "{\"text\":\"a\"}\n{\"text\":\"b\u00e9\"}",
            [],
            "line 2, byte 11: found 0xE9, which is no UTF-8; expected a text in UTF-8"
        ),
        Rows("CSV that is no UTF-8", "a.csv", "text\na\nb\u00e9\n", [], "line 3, byte 2: found 0xE9", "UTF-8"),
        Rows(
            "CSV with too many fields",
            "a.csv",
            "prompt,completion\na,b\nc,d,e\n",
            [],
            "line 3: found 3 fields, expected 2"
        ),
        Rows("CSV with an open quote", "a.csv", "text,b\na,\"b\nc,d\n", [], "line 2", "never closes"),
        Rows(
            "half a surrogate pair",
            "a.jsonl",
            "{\"text\":\"a\"}\n{\"text\":\"\\ud800\"}",
            [],
            "line 2, byte",
            "surrogate"
        ),
        Rows(
            "a turn without a role",
            "a.jsonl",
            """{"messages":[{"content":"hi"}]}""",
            ChatMl,
            "row 0",
            "turn 0: no role",
            "expected a text in 'role'"
        ),
        Rows(
            "a row without roles",
            "a.jsonl",
            """{"messages":["hi","ho"]}""",
            ChatMl,
            "row 0",
            "turn 0",
            "a text ('hi')",
            "object"
        ),
        Rows(
            "an unknown role",
            "a.jsonl",
            """{"messages":[{"role":"narrator","content":"a"}]}""",
            ChatMl,
            "row 0",
            "unknown role 'narrator'"
        ),
        Rows(
            "an empty assistant turn",
            "a.jsonl",
            """{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":""}]}""",
            ChatMl,
            "row 0",
            "turn 1: the assistant's content is an empty text",
            "expected an answer"
        ),
        Rows(
            "content that is a list",
            "a.jsonl",
            """{"messages":[{"role":"user","content":["hi"]}]}""",
            ChatMl,
            "row 0",
            "turn 0",
            "no text"
        ),
        Rows(
            "messages that are a text",
            "a.jsonl",
            """{"messages":"hello"}""",
            ChatMl,
            "row 0",
            "'messages' holds a text",
            "expected a list"
        ),
        Rows("no turns", "a.jsonl", """{"messages":[]}""", ChatMl, "row 0", "empty list"),
        Rows(
            "no assistant turn",
            "a.jsonl",
            """{"messages":[{"role":"user","content":"a"}]}""",
            ChatMl,
            "no sample is left of 1 rows",
            "1 without a target"
        ),
        Rows(
            "a conversation under alpaca",
            "a.jsonl",
            """{"messages":[{"role":"user","content":"a"}]}""",
            ["--template", "alpaca"],
            "row 0",
            "--template chatml"
        ),
        Rows(
            "a row longer than the context",
            "a.jsonl",
            Ids(5) + Ids(600),
            [],
            "row 1",
            "600 tokens, but the model was trained for 512",
            "--max-length 512"
        ),
        Rows(
            "all rows dropped",
            "a.jsonl",
            Ids(30) + Ids(31),
            ["--max-length", "20", "--overlong", "drop"],
            "no sample is left of 2 rows",
            "2 longer than --max-length 20"
        ),
        Rows(
            "rows without target",
            "a.jsonl",
            """{"input_ids":[1,2],"labels":[-100,-100]}""",
            [],
            "no sample is left",
            "1 without a target"
        ),
        Rows(
            "mixed columns",
            "a.jsonl",
            Ids(3) + "{\"text\":\"a\"}\n",
            [],
            "row 1",
            "'input_ids' holds nothing; expected a list (columns found: text)"
        ),
        Rows(
            "mixed kinds of rows",
            "a.jsonl",
            "{\"instruction\":\"a\",\"output\":\"b\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}",
            [],
            "row 1",
            "'instruction' is missing",
            "columns found: prompt, completion"
        ),
        Rows("a row that is a list", "a.jsonl", "[1, 2]", [], "row 0", "expected an object"),
        Rows(
            "numbers as texts",
            "a.jsonl",
            """{"input_ids":["1","2"],"labels":["1","2"]}""",
            [],
            "row 0",
            "'input_ids', element 0: a text ('1')",
            "whole number"
        ),
        Rows(
            "a fraction as id",
            "a.jsonl",
            """{"input_ids":[1,2.5],"labels":[1,2]}""",
            [],
            "row 0",
            "element 1: 2.5",
            "whole number"
        ),
        Rows(
            "a label of -1",
            "a.jsonl",
            """{"input_ids":[1,2],"labels":[-1,2]}""",
            [],
            "row 0",
            "labels, element 0: -1",
            "0 to"
        ),
        Rows(
            "labels of another length",
            "a.jsonl",
            """{"input_ids":[1,2,3],"labels":[1,2]}""",
            [],
            "row 0",
            "3 values, labels 2"
        ),
        Rows(
            "an id that is no list",
            "a.jsonl",
            """{"input_ids":5,"labels":[1]}""",
            [],
            "row 0",
            "'input_ids' holds 5; expected a list"
        ),
        Rows(
            "an id outside the vocabulary",
            "a.jsonl",
            """{"input_ids":[1,9999],"labels":[-100,9999]}""",
            [],
            "row 0",
            "element 1: 9999",
            "0 to 319"
        ),
        Rows(
            "a gap in the mask",
            "a.jsonl",
            """{"input_ids":[1,2,3],"labels":[1,2,3],"attention_mask":[1,0,1]}""",
            [],
            "row 0",
            "attention_mask",
            "ones without a gap"
        ),
        Rows(
            "a number for a text",
            "a.jsonl",
            """{"instruction":7,"output":"a"}""",
            [],
            "row 0",
            "'instruction' holds 7; expected a text"
        ),
        Rows(
            "a missing answer",
            "a.jsonl",
            """{"instruction":"a","output":null}""",
            [],
            "row 0",
            "'output' is missing or null"
        ),
        Rows(
            "a condition on an absent column",
            "a.jsonl",
            Ids(5),
            ["--where", "length > 3"],
            "--where \"length > 3\"",
            "length"
        ),
        Rows("a condition that is no SQL", "a.jsonl", Ids(5), ["--where", "len(("], "--where \"len((\""),
        Rows(
            "a condition that nothing meets",
            "a.jsonl",
            Ids(5),
            ["--where", "len(input_ids) > 9"],
            "no sample is left",
            "1 left out by --where"
        ),
        Rows(
            "an evaluation share of all",
            "a.jsonl",
            Ids(5),
            ["--eval-fraction", "0.5"],
            "--eval-fraction 0.5 holds out 1 of 1 rows"
        ),
        Usage(
            "a weight of 0",
            w => w.Train(Workshop.Model, w.Text("a.jsonl", Ids(5)) + ":0"),
            "a.jsonl",
            "expected a weight above 0"
        ),
        Usage(
            "one weight of two",
            w => w.Train(Workshop.Model, w.Text("a.jsonl", Ids(5)) + ":0.5", "--data", w.Text("b.jsonl", Ids(5))),
            "b.jsonl",
            "weight"
        ),
        Usage(
            "the same in data preview",
            w => ["data", "preview", "--model", Workshop.Model, "--data", w.Text("a.jsonl", "{\"question\":\"a\"}")],
            "a.jsonl, row 0",
            "unknown columns: question"
        ),
    ];

    private static BadCase Rows(string name, string file, string latin1, string[] options, params string[] texts) =>
        Usage(name, w => w.Train(Workshop.Model, w.Latin1(file, latin1), options), [$"{file}", .. texts]);

    private static BadCase Packed(string name, string file, byte[] bytes, params string[] texts) =>
        Usage($"data: {name}", w => w.Train(Workshop.Model, w.Bytes(file, bytes)), [$"{file}: ", .. texts]);

    private static BadCase Parquet(string name, string query, params string[] texts) =>
        Usage(
            $"Parquet: {name}",
            w =>
            {
                WriteParquet(w["a.parquet"], query);
                return w.Train(Workshop.Model, w["a.parquet"], "--max-length", "5000");
            },
            ["a.parquet", .. texts]
        );

    internal static string WriteParquet(string path, string query)
    {
        using var db = DuckDb.Open(2048);
        db.Execute($"COPY ({query}) TO {DuckDb.Quote(path)} (FORMAT parquet, COMPRESSION zstd)");
        return path;
    }

    private static string Deep(int levels) => levels == 0 ? "1" : $"{{'a': {Deep(levels - 1)}}}";

    private static string Ids(int count)
    {
        var ids = string.Join(',', Enumerable.Range(1, count).Select(i => i % 300));
        return $"{{\"input_ids\":[{ids}],\"labels\":[{ids}]}}\n";
    }
}
