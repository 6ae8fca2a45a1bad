using System.Text.Json.Nodes;
using Slimming.Results;
using static Slimming.Cli.Tests.BadInput.BadCase;

namespace Slimming.Cli.Tests.BadInput;

/// <summary>Run folders and results folders from somebody else.</summary>
internal static class BadFolders
{
    public static IEnumerable<BadCase> Cases { get; } =
    [
        Record("a record without its model", record => record["model"] = null, "model"),
        Record(
            "a list of files that holds null",
            record => record["libraries"]![0] = null,
            "a list of files holds null"
        ),
        RecordText(
            "a record with a name twice",
            text => text.Replace("\"options\": {", "\"options\": {\"seed\": 1,"),
            "seed"
        ),
        RecordText(
            "a record with half a surrogate pair",
            text => text.Replace("\"cpu_name\": \"", "\"cpu_name\": \"\\ud800"),
            "half of a surrogate pair"
        ),
        Usage(
            "a finished run with a broken row of metrics",
            w =>
            {
                var args = w.Train(Workshop.Model, null, "--steps", "1", "--rank", "2");
                Cli.Done(args);
                File.AppendAllText(w["run/metrics.jsonl"], "{\"step\":\n");
                return [.. args, "--resume"];
            },
            "metrics.jsonl, row 1 (from 0): expected a row of metrics"
        ),
        Usage(
            "a finished run without counts",
            w =>
            {
                var args = w.Train(Workshop.Model, null, "--steps", "1", "--rank", "2");
                Cli.Done(args);
                Change(w["run/run.json"], record => record["counts"]!["train"] = null);
                return [.. args, "--resume"];
            },
            "run.json: counts.train: found null"
        ),
        Items(
            "a column of another type",
            "* REPLACE (acc::VARCHAR AS acc)",
            "column 'acc' is of type VARCHAR, expected DOUBLE"
        ),
        Items(
            "a score that is no number",
            "* REPLACE ('NaN'::DOUBLE AS acc)",
            "task t, doc 0: acc is not a finite number"
        ),
        Items(
            "a choice that is not there",
            "* REPLACE (2::BIGINT AS gold)",
            "gold is 2, expected a choice from 0 to 1"
        ),
        Items(
            "an item without its hash",
            "* REPLACE (NULL::VARCHAR AS item_hash)",
            "row 0 (from 0): column 'item_hash' is null"
        ),
        Items(
            "a null in a list",
            "* REPLACE ([NULL, -1.0::DOUBLE] AS choice_logprobs)",
            "'choice_logprobs', element 0",
            "found null"
        ),
        Items("an item twice", "*, unnest([1, 2])", "task t, doc 0: is there twice"),
        Items(
            "more rows than a file of this size can have",
            "task, unnest(list_resize([0], 1100000, 0)) AS i",
            "the footer says 1100000"
        ),
        Items("no column that is known", "1 AS x", "has no column of a results file; found x"),
        Results(
            "texts that are too few",
            "texts-00000.parquet",
            "* REPLACE (continuations[1:1] AS continuations)",
            "continuations holds 1 texts, expected 2"
        ),
        Results(
            "a metric that is no number",
            "summary.parquet",
            "* REPLACE ('Infinity'::DOUBLE AS value)",
            "metric acc: value is not a finite number"
        ),
        Results("a metric twice", "summary.parquet", "*, unnest([1, 2])", "metric acc: is there twice"),
        Usage(
            "results: a setting that is null",
            w =>
            {
                ScoredFolder.Write(w["scored"], ScoredFolder.Settings("m", "t"), [ScoredFolder.Choice("t", 0, true)]);
                var path = Path.Combine(Directory.GetDirectories(w["scored"])[0], "run.json");
                Change(path, record => record["settings"]!["task t"] = null);
                return ["results", w["scored"]];
            },
            "run.json: task t: found null, expected a text"
        ),
    ];

    private static BadCase Record(string name, Action<JsonNode> change, params string[] texts) =>
        RecordText(
            name,
            text =>
            {
                var record = JsonNode.Parse(text)!;
                change(record);
                return record.ToJsonString();
            },
            texts
        );

    private static BadCase RecordText(string name, Func<string, string> change, params string[] texts) =>
        Usage(
            name,
            w =>
            {
                Cli.Done(w.Train(Workshop.Model, null, "--steps", "1", "--rank", "2"));
                File.WriteAllText(w["run/run.json"], change(File.ReadAllText(w["run/run.json"])));
                return w.Export(w["run"]);
            },
            [.. texts, "run.json"]
        );

    private static void Change(string path, Action<JsonNode> change)
    {
        var record = JsonNode.Parse(File.ReadAllText(path))!;
        change(record);
        File.WriteAllText(path, record.ToJsonString());
    }

    private static BadCase Items(string name, string select, params string[] texts) =>
        Results(name, "items-00000.parquet", select, texts);

    /// <summary>A sound results folder of which one file holds what <paramref name="select"/> makes of its rows.</summary>
    private static BadCase Results(string name, string file, string select, params string[] texts) =>
        Usage(
            $"results: {name}",
            w =>
            {
                ScoredFolder.Write(w["scored"], ScoredFolder.Settings("m", "t"), [ScoredFolder.Choice("t", 0, true)]);
                var path = Path.Combine(Directory.GetDirectories(w["scored"])[0], file);
                using (var db = DuckDb.Open(2048))
                {
                    db.Execute($"CREATE TABLE t AS SELECT {select} FROM read_parquet(?)", path);
                    db.Execute($"COPY t TO {DuckDb.Quote(path)} (FORMAT parquet)");
                }
                // Not results --format jsonl: it has printed an item before the next one is found to be the same.
                return file.StartsWith("items", StringComparison.Ordinal)
                    ? ["compare", w["scored"], w["scored"]]
                    : ["results", w["scored"], "--format", "jsonl"];
            },
            texts
        );
}
