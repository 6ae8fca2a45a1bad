using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Evaluation.Comparing;
using Slimming.Gguf;

namespace Slimming.Cli.Compare;

/// <summary>Looks for the benchmark's items in what the tuned models were trained on.</summary>
internal static class OverlapCheck
{
    /// <summary>Items that a warning names.</summary>
    private const int NamedItems = 8;

    /// <param name="comparison">Without overlaps.</param>
    /// <param name="runs">Training run folders of the command line; empty: the one that each scored adapter or model lies in.</param>
    /// <param name="files">Training data files of the command line.</param>
    /// <param name="warn">Receives what was found.</param>
    /// <param name="cancellation">Looked at before each row.</param>
    public static Comparison Add(
        Comparison comparison,
        string[] runs,
        string[] files,
        Action<string> warn,
        CancellationToken cancellation = default
    )
    {
        OverlapFinder? finder = null;
        var known = new Dictionary<string, Overlap>(StringComparer.Ordinal);
        var checkedRuns = new List<RunComparison>();
        foreach (var run in comparison.Runs)
        {
            var sources = Sources(run, runs, files, warn);
            if (sources.Count == 0)
            {
                checkedRuns.Add(run);
                continue;
            }
            var name = string.Join(", ", sources.Select(source => source.Name));
            if (!known.TryGetValue(name, out var overlap))
            {
                finder ??= OverlapFinder.Of(comparison.Base);
                overlap = finder.Find(sources.SelectMany(source => source.Rows()), cancellation);
                known.Add(name, overlap);
            }
            foreach (var task in overlap.Found)
            {
                warn(Warning(run.Tuned, name, overlap, task));
            }
            checkedRuns.Add(run with { Overlap = overlap });
        }
        return comparison with { Runs = checkedRuns };
    }

    /// <summary>A line for each checked task, and the overlapping items as far as they are asked for.</summary>
    public static void Write(VerbContext context, RunComparison run, int items)
    {
        if (run.Overlap is not { } overlap)
        {
            context.Say(
                "Overlap with training data: not looked for; --train-run or --data names what the model was trained on."
            );
            return;
        }
        if (overlap.Rows == 0)
        {
            context.Say("Overlap with training data: not looked for; its rows are token ids, without text.");
            return;
        }
        FitTable table = new(1, "task", "items", "too short", "overlapping");
        foreach (var task in overlap.Tasks)
        {
            table.AddRow(task.Task, Whole(task.Items), Whole(task.TooShort), Whole(task.Found.Count));
        }
        context.Say($"{overlap.Words} words in a row shared with {Whole(overlap.Rows)} training rows:");
        table.Write(context.OutputConsole());
        foreach (var task in overlap.Found)
        {
            foreach (var item in task.Found.Take(items))
            {
                context.Say(
                    $"{task.Task}, doc {item.Doc}: {item.Shared} of {item.Of}, first in {item.Source}, row {item.Row} (from 0): {item.Text}"
                );
            }
        }
    }

    private static List<TrainingSource> Sources(RunComparison run, string[] runs, string[] files, Action<string> warn)
    {
        List<TrainingSource> named = [.. runs.Select(TrainingSource.OfRun)];
        if (files.Length > 0)
        {
            named.Add(TrainingSource.OfFiles(files));
        }
        if (named.Count > 0 || TrainingSource.FolderOf(run.Tuned) is not { } folder)
        {
            return named;
        }
        try
        {
            return [TrainingSource.OfRun(folder)];
        }
        catch (SlimmingException error)
        {
            // Nobody asked for this search: scores are compared without it.
            warn($"overlap with training data was not looked for: {error.Message}");
            return [];
        }
    }

    private static string Warning(string tuned, string source, Overlap overlap, TaskOverlap task)
    {
        var docs = string.Join(", ", task.Found.Take(NamedItems).Select(item => Whole(item.Doc)));
        var more = task.Found.Count > NamedItems ? ", ..." : "";
        return $"{tuned}: {task.Found.Count} of {task.Items} items of {task.Task} share {overlap.Words} words in a row with "
            + $"training rows of {source} (doc {docs}{more}): their scores may be remembered, not known";
    }

    private static string Whole(long value) => value.ToString(CultureInfo.InvariantCulture);
}
