using System.Text;
using Slimming.Results;

namespace Slimming.Fuzz;

/// <summary>Results folders as bench writes them: choices, answers, running text, distances, a group.</summary>
internal static class ScoredSeed
{
    public static void Write(string folder, string model, int shift)
    {
        var settings = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["engine"] = "libllama v0.5.0",
            ["model_sha256"] = model,
            ["cache_type"] = "f32",
            ["chat_template"] = "none",
            ["limit"] = "all",
            ["offset"] = "0",
            ["tasks"] = "piqa,squad,wikitext,kl",
        };
        foreach (var task in new[] { "piqa", "squad", "wikitext", "kl" })
        {
            settings[$"task {task}"] = "version 1, definition 0123, data 4567";
        }
        RunInfo info = new()
        {
            Label = "model.gguf",
            Settings = settings,
            Environment = new(StringComparer.Ordinal) { ["machine"] = "a machine", ["adapter"] = "" },
        };
        using var store = ResultsStore.OpenForWriting(folder, info);
        for (var doc = 0; doc < 6; doc++)
        {
            var right = (doc + shift) % 3 != 0;
            store.Append(
                Start("piqa", doc) with
                {
                    NCtx = [3, 3],
                    NCont = [2, 2],
                    ChoiceLogprobs = [-1 - doc, right ? -0.5 : -9],
                    Pred = right ? 1 : 0,
                    PredNorm = right ? 1 : 0,
                    Gold = 1,
                    Acc = right ? 1 : 0,
                    AccNorm = right ? 1 : 0,
                    Greedy = [false, right],
                    Groups = ["both"],
                    Cluster = $"c{doc / 2}",
                    Contexts = [$"question number {doc} of them all with a lot more words than eight of it"],
                    Continuations = [" no", " yes"],
                    CtxIds =
                    [
                        [1, 2, 3],
                    ],
                    ContIds =
                    [
                        [4, 5],
                        [6, 7],
                    ],
                }
            );
            store.Append(
                Start("squad", doc) with
                {
                    Generated = right ? "the cat" : "a dog",
                    Strict = right ? "the cat" : "a dog",
                    ExactMatchStrict = right ? 1 : 0,
                    F1 = right ? 1 : 0.25,
                    Contexts = ["who sat on the mat?"],
                    Continuations = ["the cat", "cat"],
                }
            );
            store.Append(Start("wikitext", doc) with { Nll = 10 + doc + shift, NTokens = 5, NWords = 4, NBytes = 20 });
            store.Append(Start("kl", doc) with { NTokens = 3, Kl = [0.1, 0.2 + shift, 0.3], SameTop1 = 2 });
        }
        store.Complete([.. Summary()]);
    }

    private static ItemRow Start(string task, int doc) =>
        new()
        {
            Task = task,
            TaskVersion = "1",
            Doc = doc,
            ItemHash = $"hash {doc}",
            PromptHash = $"prompt {doc}",
        };

    private static IEnumerable<MetricRow> Summary()
    {
        (string Task, string[] Metrics)[] tasks =
        [
            ("piqa", ["acc", "acc_norm"]),
            ("squad", ["exact_match", "f1", "f1_em"]),
            ("wikitext", ["word_perplexity", "bits_per_byte", "token_perplexity"]),
            ("kl", ["mean_kl", "kl_p99", "same_top_1"]),
        ];
        foreach (var (task, metric) in tasks.SelectMany(task => task.Metrics, (task, metric) => (task.Task, metric)))
        {
            yield return new(task, "1", metric, 0.5, 6, 0.1, 0.3, 0.7, "libllama v0.5.0", "a machine", "c0ffee");
        }
        yield return new("both", "1", "acc", 0.5, 6, 0.1, 0.3, 0.7, "libllama v0.5.0", "a machine", "c0ffee")
        {
            Members = 1,
        };
    }
}

/// <summary>A results folder, broken: read by <c>results</c>, <c>report</c>, <c>compare</c> and <c>rescore</c>.</summary>
internal sealed class ResultsTarget : FolderTarget
{
    private static readonly string[] s_all = ["table", "jsonl", "csv", "report", "compare", "base", "rescore"];

    private static readonly string[] s_json =
    [
        .. JsonMutator.Words,
        "1",
        "\"\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"[red]\"",
        "\"../../x\"",
        "true",
        "{}",
        "\n",
    ];

    private readonly ParquetMutator _mutator = new();

    protected override IReadOnlyList<(string File, string[] Verbs)> Files { get; } =
    [
        ("summary.parquet", s_all),
        ("items-00000.parquet", s_all),
        ("items-00000.parquet", s_all),
        ("texts-00000.parquet", s_all),
        ("tokens-00000.parquet", ["jsonl", "csv", "rescore"]),
        (ScoredRecord, s_all),
        ("DONE", ["table", "report"]),
    ];

    private const string ScoredRecord = "run.json";

    public override string Name => "results";

    public override bool IsForeign => true;

    public override int RoundCases => 100;

    /// <summary>Each metric that two runs share is drawn 10,000 times.</summary>
    public override long FreeBytes => 64L << 20;

    private string Run => Path.Combine(Beside("tuned"), "run=0");

    protected override void MakeSound()
    {
        ScoredSeed.Write(Beside("base"), "aaaa", shift: 0);
        ScoredSeed.Write(Beside("made"), "bbbb", shift: 1);
        foreach (var file in Directory.GetFiles(Directory.GetDirectories(Beside("made"))[0]))
        {
            File.Copy(file, Path.Combine(Work, Path.GetFileName(file)));
        }
    }

    protected override void Placed(Head head)
    {
        // Work is the broken run's own folder; the verbs want it under a name.
        Directory.CreateDirectory(Beside("tuned"));
        if (!Path.Exists(Run))
        {
            Directory.CreateSymbolicLink(Run, Work);
        }
    }

    protected override string[] Args(string verb) =>
        verb switch
        {
            "table" or "jsonl" or "csv" => ["results", Run, "--format", verb],
            "report" => ["report", Beside("base"), Beside("tuned"), "--out", Beside("r.html"), "--force"],
            "compare" => ["compare", Beside("base"), Run, "--resamples", "100", "--items", "3"],
            "base" => ["compare", Run, Beside("base"), "--resamples", "100", "--json"],
            _ => ["rescore", Run, "--out", Beside("rescored"), "--force"],
        };

    protected override byte[] Break(string file, Random random, out string kind)
    {
        if (file == ScoredRecord && random.Next(2) == 0)
        {
            return JsonMutator.Mutate(Encoding.UTF8.GetString(SoundFile(file)), lines: false, random, out kind);
        }
        if (Path.GetExtension(file) != ".parquet")
        {
            return Raw.MutateText(Encoding.UTF8.GetString(SoundFile(file)) + " ", s_json, random, out kind);
        }
        return random.Next(4) == 0
            ? Raw.Mutate((byte[])SoundFile(file).Clone(), random, out kind)
            : _mutator.Mutate(file, SoundFile(file), random, out kind);
    }

    protected override void Close()
    {
        _mutator.Dispose();
        base.Close();
    }
}

/// <summary>Sound Parquet files that hold something else than they should: columns gone, of other types, with other values, rows twice.</summary>
internal sealed class ParquetMutator : IDisposable
{
    private readonly DuckDb _db = DuckDb.Open(64);
    private readonly Dictionary<string, (string Name, string Type)[]> _columns = new(StringComparer.Ordinal);
    private readonly string _in = Path.GetTempFileName();
    private readonly string _out = Path.GetTempFileName();

    public byte[] Mutate(string name, byte[] sound, Random random, out string kind)
    {
        File.WriteAllBytes(_in, sound);
        var file = DuckDb.Quote(_in);
        if (!_columns.TryGetValue(name, out var columns))
        {
            columns =
            [
                .. _db.Query($"DESCRIBE SELECT * FROM read_parquet({file})")
                    .Select(row => (row.Text("column_name")!, row.Text("column_type")!)),
            ];
            _columns.Add(name, columns);
        }
        var select = columns.ToDictionary(column => column.Name, column => $"\"{column.Name}\"");
        List<string> changes = [];
        for (var i = random.Next(1, 4); i > 0; i--)
        {
            var (column, type) = columns[random.Next(columns.Length)];
            var (word, sql) = Change($"\"{column}\"", type, random);
            changes.Add(word);
            select[column] =
                random.Next(2) == 0 || word == "gone"
                    ? sql
                    : $"CASE WHEN random() < 0.4 THEN {sql} ELSE \"{column}\" END";
        }
        var kept = select
            .Where(column => column.Value.Length > 0)
            .Select(column => $"{column.Value} AS \"{column.Key}\"")
            .ToList();
        var rows = random.Next(8) switch
        {
            0 => " LIMIT 0",
            1 => $" UNION ALL SELECT {string.Join(", ", kept)} FROM read_parquet({file})",
            2 => $" LIMIT {random.Next(1, 4)}",
            _ => "",
        };
        var query = $"SELECT {(kept.Count == 0 ? "1 AS x" : string.Join(", ", kept))} FROM read_parquet({file}){rows}";
        _db.Execute("SELECT setseed(?)", random.NextDouble());
        try
        {
            _db.Execute($"COPY ({query}) TO {DuckDb.Quote(_out)} (FORMAT parquet)");
            kind = string.Join('+', changes.Order(StringComparer.Ordinal).Take(1));
        }
        catch (ResultsException)
        {
            // A change that does not go with the column's type: the bytes instead.
            return Raw.Mutate((byte[])sound.Clone(), random, out kind);
        }
        return File.ReadAllBytes(_out);
    }

    public void Dispose()
    {
        _db.Dispose();
        File.Delete(_in);
        File.Delete(_out);
    }

    private static (string Word, string Sql) Change(string column, string type, Random random)
    {
        (string, string)[] any =
        [
            ("gone", ""),
            ("null", "NULL"),
            ("text", $"{column}::VARCHAR"),
            ("whole", "7"),
            ("number", "0.5::DOUBLE"),
            ("list", $"[{column}]"),
            ("struct", $"{{'a': {column}}}"),
            ("blob", "'x'::BLOB"),
            ("date", "DATE '2020-01-01'"),
            ("huge", "170141183460469231731687303715884105727::HUGEINT"),
            ("map", "MAP {'a': 1}"),
        ];
        (string, string)[] own = type switch
        {
            "DOUBLE" =>
            [
                ("nan", "'NaN'::DOUBLE"),
                ("inf", "'-Infinity'::DOUBLE"),
                ("large", "1e308::DOUBLE"),
                ("below", "-1::DOUBLE"),
                ("half", "0.5::DOUBLE"),
            ],
            "BIGINT" => [("below", "-1::BIGINT"), ("large", "9223372036854775807::BIGINT"), ("same", "0::BIGINT")],
            "VARCHAR" =>
            [
                ("empty", "''"),
                ("nul", $"{column} || chr(0)"),
                ("markup", $"'[red' || {column}"),
                ("same", "'piqa'"),
                ("long", $"repeat({column}, 3000)"),
            ],
            _ when type.EndsWith("[]", StringComparison.Ordinal) =>
            [
                ("element", $"list_append({column}, NULL)"),
                ("short", $"{column}[1:1]"),
                ("none", $"{column}[1:0]"),
                ("doubled", $"list_concat({column}, {column})"),
            ],
            _ => [("false", "false")],
        };
        return random.Next(3) == 0 ? any[random.Next(any.Length)] : own[random.Next(own.Length)];
    }
}
