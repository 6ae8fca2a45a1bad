using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Cli.Report;

/// <summary>What a report is made of, found in the folders that the command line names.</summary>
internal sealed record ReportSources(
    IReadOnlyList<TrainCurve> Training,
    IReadOnlyList<ScoredRun> Scores,
    IReadOnlyList<string> Unfinished
)
{
    /// <summary>Folders below a named one that are searched: results/base/run=...</summary>
    private const int Depth = 3;

    /// <exception cref="SlimmingException">A folder is missing or holds nothing to report.</exception>
    public static ReportSources Find(IReadOnlyList<string> folders)
    {
        var training = new List<TrainCurve>();
        var scores = new List<ScoredRun>();
        var unfinished = new List<string>();
        foreach (var folder in folders)
        {
            if (!Directory.Exists(folder))
            {
                throw new SlimmingException(ExitCode.Usage, $"{folder}: no such folder");
            }
            var found = Search(folder, Depth).ToArray();
            if (found.Length == 0)
            {
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"{folder}: nothing to report; expected a run of train (metrics.jsonl) or of bench (run=<id>)"
                );
            }
            foreach (var (path, isTraining) in found)
            {
                var done = File.Exists(Path.Combine(path, "DONE"));
                if (!done)
                {
                    unfinished.Add(path);
                }
                if (isTraining)
                {
                    // The curve so far is worth seeing; scores of half the items are not.
                    training.Add(TrainCurve.Read(path));
                }
                else if (done)
                {
                    scores.Add(ReadScores(path));
                }
            }
        }
        return new ReportSources(training, scores, unfinished);
    }

    private static IEnumerable<(string Path, bool IsTraining)> Search(string folder, int depth)
    {
        if (File.Exists(Path.Combine(folder, "metrics.jsonl")))
        {
            return [(folder, true)];
        }
        if (Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)).StartsWith("run=", StringComparison.Ordinal))
        {
            return [(folder, false)];
        }
        return depth == 0
            ? []
            : Directory.GetDirectories(folder).Order(StringComparer.Ordinal).SelectMany(f => Search(f, depth - 1));
    }

    private static ScoredRun ReadScores(string path)
    {
        try
        {
            return ScoredRun.Read(path);
        }
        catch (ResultsException e)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: cannot be read: {e.Message}", e);
        }
    }
}
