using Slimming.Results;

namespace Slimming.Cli.Report;

/// <summary>A finished bench run: its label (the --out folder), settings, metrics and a few generated answers.</summary>
internal sealed record ScoredRun(
    string Label,
    string Folder,
    RunInfo Info,
    IReadOnlyList<MetricRow> Metrics,
    IReadOnlyList<ItemRow> Samples
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
        return new ScoredRun(FolderName(runFolder), runFolder, store.Info, metrics, samples);
    }

    /// <summary>The --out folder's name: run=&lt;id&gt; itself tells a reader nothing.</summary>
    private static string FolderName(string runFolder) =>
        Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(runFolder))!);
}
