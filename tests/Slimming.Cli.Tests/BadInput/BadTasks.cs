using System.IO.Compression;
using static Slimming.Cli.Tests.BadInput.BadCase;

namespace Slimming.Cli.Tests.BadInput;

/// <summary>Task files: YAML that is none, values that are missing or have no bounds, and rows that do not fit.</summary>
internal static class BadTasks
{
    private const string Choices = """
        name: t
        kind: multiple_choice
        data: [t.jsonl]
        prompt: "{question}"
        choices_field: choices
        gold: "{answer}"
        metrics: [acc]

        """;

    private const string Generation = """
        name: t
        kind: generate_until
        data: [t.jsonl]
        prompt: "{question}"
        target: "{answer}"
        max_gen_tokens: 4
        metrics: [exact_match_strict]

        """;

    private const string Perplexity = """
        name: t
        kind: perplexity
        data: [t.jsonl]
        prompt: "{question}"
        metrics: [token_perplexity]

        """;

    private const string Rows = """{"question":"q","choices":["a","b"],"answer":0}""";

    public static IEnumerable<BadCase> Cases { get; } =
    [
        Task("a task of a list", "- name\n", "line 1 (- name): expected another kind of value"),
        Task("a task of a text", "name", "line 1 (name): expected another kind of value"),
        Task("two tasks in a file", Choices + "---\n" + Choices, "line 8 (---)"),
        Task("an unknown key of a task", Choices + "foo: 1\n", "unknown key 'foo'; known are name, version, about"),
        Task("an unknown key below one", Choices + "few_shot: {cuont: 1}\n", "unknown key 'cuont'; known are count"),
        Task(
            "a mapping where a text is due",
            Choices + "columns: [{a: b}]\n",
            "line 8",
            "columns: expected a list of texts"
        ),
        Task("a task with a NUL", Choices + "\0", "line 8", "found the control character U+0000"),
        Task(
            "a task with words for a number",
            Choices + "items: many\n",
            "line 8 (items: many): items: expected a whole number"
        ),
        Task("a task with too large a number", Choices + "items: 99999999999\n", "expected a whole number"),
        Task("aliases of aliases", Bomb(), "t.yaml: line 1", "unknown key 'a'"),
        Task("an alias of itself", Choices + "fields: &f {a: *f}\n", "expected another kind of value"),
        Task("a tag that makes an object", "name: !System.IO.FileInfo /etc/passwd\n", "unresolved tag"),
        Task("a nested key without value", Choices + "few_shot: {data: }\n", "t.yaml: few_shot.data: has no value"),
        Task("a nested list with nothing", Choices + "fields: {a: [null]}\n", "t.yaml: fields: has no value"),
        Task("an example that is nothing", Choices + "few_shot: {samples: [null]}\n", "few_shot.samples: has no value"),
        Task("a pattern that is nothing", Generation + "answer: {remove: [null]}\n", "answer.remove: has no value"),
        Task("an answer without pattern", Generation + "answer: {strict: {regex: }}\n", "answer.strict.regex: has no"),
        Usage(
            "more examples than a number holds",
            w => Bench(w, w.Text("t.yaml", Choices + "few_shot: {count: 2147483647}\n")),
            "t.jsonl: 1 rows, too few for 2147483647 shots"
        ),
        Task("a window below nothing", Perplexity + "window_length: -4\n", "key 'window_length' is negative"),
        Task("a kind that is a number", Choices.Replace("multiple_choice", "99"), "kind: unknown '99'"),
        Task("two stars", Choices.Replace("name: t", "name: t**") + "variants: [a]\n", "name' has more than one *"),
        Task("a name that moves the cursor", Choices.Replace("name: t", "name: \"t\\e[2J\""), "name: expected a name"),
        Task("a name without end", Choices.Replace("name: t", "name: " + new string('t', 999)), "at most 200", "999"),
        Task("a text without end", Choices + $"description: {new string('x', 70_000)}\n", "at most 65536 characters"),
        Task("a separator without end", Choices + $"join: {new string('x', 1_001)}\n", "join: expected at most 1000"),
        Task("a list without end", Choices + $"stops: [{Many(1_001)}]\n", "stops: expected at most 1000 entries"),
        Task("a task file without end", Choices + new string('#', 1 << 20), "a text of at most 1 MiB, found more"),
        Row(
            "half a pair in a row",
            """{"question":"\ud800","choices":["a","b"],"answer":0}""",
            "field question: found one half"
        ),
        Row(
            "a row without end",
            $$"""{"question":"{{new string('x', 17 << 20)}}"}""",
            "line 1: expected at most 16 Mi characters"
        ),
        File("a column twice", "t.csv", _ => "a,a\n1,2\n"u8.ToArray(), "expected every column once, found a, a"),
        File("a column of tabs twice", "t.tsv", _ => "a\ta\n1\t2\n"u8.ToArray(), "expected every column once"),
        File("a line that unpacks without end", "t.jsonl.gz", _ => Packed(1), "found more"),
        File("rows that unpack without end", "t.jsonl.gz", _ => Packed(200), "bytes of data in a packed file of"),
        File("a table that unpacks without end", "t.csv.gz", _ => Packed(200), "bytes of data in a packed file of"),
        File(
            "Parquet of more rows than a file of its size can have",
            "t.parquet",
            w =>
                System.IO.File.ReadAllBytes(
                    BadData.WriteParquet(w["big.parquet"], "SELECT 'a' AS t FROM range(1100000)")
                ),
            "the footer says 1100000"
        ),
        File(
            "Parquet of one text in all rows",
            "t.parquet",
            w =>
                System.IO.File.ReadAllBytes(
                    BadData.WriteParquet(w["big.parquet"], "SELECT repeat('a b ', 1200) AS t FROM range(5000)")
                ),
            "expected at most 16 MiB and 50 times the size of the file in all rows of more than 256"
        ),
        File("packed data that are not", "t.jsonl.gz", _ => "hello"u8.ToArray(), "t.jsonl.gz: "),
        Usage(
            "a task file that is no UTF-8",
            w => Bench(w, w.Latin1("t.yaml", Choices + "about: \u00ff\n")),
            "t.yaml: byte ",
            "found 0xFF"
        ),
        Usage(
            "a task file that is a device",
            w =>
            {
                System.IO.File.CreateSymbolicLink(w["t.yaml"], "/dev/zero");
                return Bench(w, w["t.yaml"]);
            },
            "/t.yaml: ",
            "is a pipe, a device or a socket"
        ),
    ];

    private static BadCase Task(string name, string yaml, params string[] texts) =>
        Usage(name, w => Bench(w, w.Text("t.yaml", yaml)), ["t.yaml", .. texts]);

    private static BadCase Row(string name, string row, params string[] texts) =>
        File(name, "t.jsonl", _ => System.Text.Encoding.UTF8.GetBytes(row), texts);

    private static BadCase File(string name, string file, Func<Workshop, byte[]> bytes, params string[] texts) =>
        Usage(
            name,
            w =>
            {
                var args = Bench(w, w.Text("t.yaml", Choices.Replace("t.jsonl", file, StringComparison.Ordinal)));
                w.Bytes(file, bytes(w));
                return args;
            },
            [file, .. texts]
        );

    /// <summary>200 MiB of nearly nothing, in so many lines.</summary>
    internal static byte[] Packed(int lines)
    {
        using MemoryStream packed = new();
        using (GZipStream stream = new(packed, CompressionLevel.Fastest))
        {
            var line = new byte[(200 << 20) / lines];
            line.AsSpan().Fill((byte)' ');
            line[^1] = (byte)'\n';
            for (var i = 0; i < lines; i++)
            {
                stream.Write(line);
            }
        }
        return packed.ToArray();
    }

    private static string[] Bench(Workshop w, string task)
    {
        w.Text("t.jsonl", Rows);
        return
        [
            "bench",
            "--model",
            Workshop.Model,
            "--tasks",
            task,
            "--data-dir",
            Path.GetDirectoryName(task)!,
            "--out",
            w["out"],
            "--threads",
            "1",
        ];
    }

    private static string Many(int count) => string.Join(',', Enumerable.Range(0, count));

    /// <summary>Nine of nine of nine: billions of texts where aliases are written out.</summary>
    private static string Bomb() =>
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + string.Concat(
            Enumerable.Range(0, 12).Select(i => $"{(char)('b' + i)}: &{(char)('b' + i)} [{Nine((char)('a' + i))}]\n")
        );

    private static string Nine(char name) => string.Join(',', Enumerable.Repeat($"*{name}", 9));
}
