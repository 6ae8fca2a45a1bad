using Slimming.Evaluation.Statistics;
using Slimming.Results;

namespace Slimming.Cli.Report;

/// <summary>A finished bench run: its label (the --out folder), settings, metrics, a few generated answers, and by task the confidence in each choice.</summary>
internal sealed record ScoredRun(
    string Label,
    string Folder,
    RunInfo Info,
    IReadOnlyList<MetricRow> Metrics,
    IReadOnlyList<ItemRow> Samples,
    IReadOnlyDictionary<string, IReadOnlyList<Answered>> Answers
)
{
    /// <summary>Generated answers shown of each task.</summary>
    public const int SamplesPerTask = 3;

    public static ScoredRun Read(string runFolder)
    {
        using var store = ResultsStore.OpenFinished(runFolder);
        var metrics = store.ReadSummary();
        var samples = metrics
            .Select(m => m.Task)
            .Distinct(StringComparer.Ordinal)
            .SelectMany(task =>
                store.ReadItems(texts: true, task: task).Where(r => r.Generated is not null).Take(SamplesPerTask)
            )
            .ToArray();
        var answers = store
            .ReadItems()
            .Select(ReportCalibration.AnswerOf)
            .OfType<(string Task, Answered Answer)>()
            .GroupBy(found => found.Task, found => found.Answer, StringComparer.Ordinal)
            .ToDictionary(task => task.Key, task => (IReadOnlyList<Answered>)task.ToList(), StringComparer.Ordinal);
        return new ScoredRun(FolderName(runFolder), runFolder, store.Info, metrics, samples, answers);
    }

    /// <summary>The --out folder's name: run=&lt;id&gt; itself tells a reader nothing.</summary>
    private static string FolderName(string runFolder) =>
        Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(runFolder))!);
}
