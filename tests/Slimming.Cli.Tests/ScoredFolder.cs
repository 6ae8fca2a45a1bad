using Slimming.Results;

namespace Slimming.Cli.Tests;

/// <summary>Results folders made up for tests of what reads them.</summary>
internal static class ScoredFolder
{
    public static SortedDictionary<string, string> Settings(string model, params string[] tasks)
    {
        var settings = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["engine"] = "libllama v0.5.0",
            ["model_sha256"] = model,
            ["cache_type"] = "f32",
            ["chat_template"] = "none",
            ["limit"] = "all",
            ["offset"] = "0",
            ["tasks"] = string.Join(",", tasks),
        };
        foreach (var task in tasks)
        {
            settings[$"task {task}"] = "version 1, definition 0123, data 4567";
        }
        return settings;
    }

    /// <summary>Writes a finished run; the summary lists each metric that the first item of a task has.</summary>
    public static string Write(
        string folder,
        SortedDictionary<string, string> settings,
        IEnumerable<ItemRow> rows,
        string machine = "a machine",
        string adapter = "",
        params (string Label, int Members)[] groups
    )
    {
        var info = new RunInfo
        {
            Label = Path.GetFileName(folder) + ".gguf",
            Settings = settings,
            Environment = new(StringComparer.Ordinal) { ["machine"] = machine, ["adapter"] = adapter },
        };
        using var store = ResultsStore.OpenForWriting(folder, info);
        var items = rows.ToList();
        items.ForEach(store.Append);
        List<MetricRow> summary = [];
        foreach (var first in items.DistinctBy(row => row.Task))
        {
            var metrics = new (string Name, double? Value)[]
            {
                ("acc", first.Acc),
                ("acc_norm", first.AccNorm),
                ("exact_match_strict", first.ExactMatchStrict),
                ("exact_match_flexible", first.ExactMatchFlexible),
                ("f1", first.F1),
                ("token_perplexity", first.Nll),
            };
            summary.AddRange(
                metrics
                    .Where(metric => metric.Value is not null)
                    .Select(metric => new MetricRow(
                        first.Task,
                        first.TaskVersion,
                        metric.Name,
                        0,
                        items.Count(row => row.Task == first.Task),
                        null,
                        null,
                        null,
                        "libllama v0.5.0",
                        machine,
                        "c0ffee"
                    ))
            );
        }
        var one = summary[0];
        summary.AddRange(groups.Select(group => one with { Task = group.Label, Members = group.Members }));
        store.Complete(summary);
        return folder;
    }

    public static ItemRow Choice(string task, int doc, bool right, string? cluster = null) =>
        Start(task, doc) with
        {
            Cluster = cluster,
            ChoiceLogprobs = [-1, -2],
            Pred = right ? 1 : 0,
            Gold = 1,
            Acc = right ? 1 : 0,
            Contexts = [$"question {doc}"],
            Continuations = [" no", " yes"],
        };

    public static ItemRow Generation(string task, int doc, bool strict, bool flexible) =>
        Start(task, doc) with
        {
            Generated = flexible ? $"#### {doc}" : "I do not know",
            ExactMatchStrict = strict ? 1 : 0,
            ExactMatchFlexible = flexible ? 1 : 0,
            Contexts = [$"sum {doc}"],
            Continuations = [$"#### {doc}"],
        };

    public static ItemRow Window(string task, int doc, double nll, long tokens) =>
        Start(task, doc) with
        {
            Nll = nll,
            NTokens = tokens,
        };

    private static ItemRow Start(string task, int doc) =>
        new()
        {
            Task = task,
            TaskVersion = "1",
            Doc = doc,
            ItemHash = $"hash {doc}",
            PromptHash = $"prompt {doc}",
        };
}
