using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Statistics;
using Slimming.Gguf;

namespace Slimming.Evaluation.Comparing;

/// <summary>Compares tuned runs with their base, item by item.</summary>
public static class RunComparer
{
    /// <param name="baseDirectory">Results folder of the base.</param>
    /// <param name="tunedDirectories">Results folders of one or more tuned models.</param>
    /// <param name="options">How differences are judged.</param>
    /// <param name="cancellation">Looked at before each task.</param>
    /// <exception cref="SlimmingException">A pair differs in more than the model; names the field.</exception>
    public static Comparison Compare(
        string baseDirectory,
        IReadOnlyList<string> tunedDirectories,
        ComparisonOptions options,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(tunedDirectories);
        ArgumentNullException.ThrowIfNull(options);
        using var start = ScoredItems.Open(baseDirectory);
        var runs = new List<RunComparison>();
        foreach (var directory in tunedDirectories)
        {
            using var tuned = ScoredItems.Open(directory);
            runs.Add(Compare(start, tuned, options, cancellation));
        }
        return new Comparison(options, baseDirectory, runs, Spread(runs, options));
    }

    private static RunComparison Compare(
        ScoredItems start,
        ScoredItems tuned,
        ComparisonOptions options,
        CancellationToken cancellation
    )
    {
        var common = RunPairing.CommonTasks(start, tuned);
        var tasks = new List<TaskComparison>();
        List<string> warnings = [.. RunPairing.Warnings(start, tuned)];
        var groups = start.Groups.Intersect(tuned.Groups, StringComparer.Ordinal).ToList();
        foreach (var task in common.Concat(groups))
        {
            cancellation.ThrowIfCancellationRequested();
            tasks.Add(Compare(start, tuned, task, groups, options, warnings));
        }
        return new RunComparison(
            tuned.Directory,
            tuned.Info.Label,
            Correct(tasks, options),
            [
                .. start
                    .Tasks.Union(tuned.Tasks, StringComparer.Ordinal)
                    .Except(common, StringComparer.Ordinal)
                    .Where(task => !start.IsDivergence(task) && !tuned.IsDivergence(task)),
            ],
            Divergence.Between(start, tuned, options.Level),
            warnings
        );
    }

    private static TaskComparison Compare(
        ScoredItems start,
        ScoredItems tuned,
        string task,
        List<string> groups,
        ComparisonOptions options,
        List<string> warnings
    )
    {
        var pairs = RunPairing.Pair(start, tuned, task);
        var metrics = start
            .Metrics(task)
            .Intersect(tuned.Metrics(task), StringComparer.Ordinal)
            .Where(ItemMetrics.IsMean)
            .ToList();
        if (metrics.Count == 0)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{start.Directory} and {tuned.Directory} are no pair: metrics of task {task} differ: "
                    + $"{string.Join(",", start.Metrics(task))} in {start.Directory}, {string.Join(",", tuned.Metrics(task))} in {tuned.Directory}"
            );
        }
        // Of models with other vocabularies only this is not comparable: words and bytes are the text's.
        var unequal = metrics.FindAll(metric =>
            pairs.Exists(pair => ItemMetrics.Weight(metric, pair.Base) != ItemMetrics.Weight(metric, pair.Tuned))
        );
        if (unequal.Count > 0)
        {
            var problem =
                $"{string.Join(", ", unequal)} of task {task} is per token, and {start.Directory} and {tuned.Directory} "
                + "cut the text into different numbers of tokens";
            metrics.RemoveAll(unequal.Contains);
            if (metrics.Count == 0)
            {
                throw new SlimmingException(ExitCode.Usage, $"{problem}; compare words or bytes instead");
            }
            warnings.Add($"{problem}: left out");
        }
        var primary = ItemMetrics.Primary(metrics);
        var comparers = metrics.ConvertAll(metric => new MetricComparer(task, metric, pairs, options));
        // Groups stand from the whole to its parts.
        var whole = pairs[0].Base.Groups?.FirstOrDefault(groups.Contains);
        var binary = comparers[metrics.IndexOf(primary)].IsBinary;
        return new TaskComparison(
            task,
            pairs[0].Base.TaskVersion,
            [.. comparers.Select((comparer, i) => comparer.Compare(metrics[i] == primary))],
            [.. comparers.Select(comparer => comparer.Study()).OfType<StudyMeasure>()],
            binary ? TransitionFinder.Find(start, task, primary, pairs) : null
        )
        {
            PartOf = whole == task ? null : whole,
        };
    }

    /// <summary>Holm over one metric a task, and what follows for each; what is part of a group is tested with the group.</summary>
    private static List<TaskComparison> Correct(List<TaskComparison> tasks, ComparisonOptions options)
    {
        var tested = tasks.Where(task => task.Primary.P is not null && task.PartOf is null).ToList();
        var adjusted = Multiplicity.Holm([.. tested.Select(task => task.Primary.P!.Value)]);
        return tasks.ConvertAll(task =>
        {
            var place = tested.IndexOf(task);
            var holm = place < 0 ? (double?)null : adjusted[place];
            return task with
            {
                Metrics =
                [
                    .. task.Metrics.Select(metric =>
                        metric.Primary && task.PartOf is null
                            ? metric with
                            {
                                PHolm = holm,
                                Verdict = Verdict(metric, holm, options),
                            }
                            : metric
                    ),
                ],
            };
        });
    }

    private static string Verdict(MetricComparison metric, double? holm, ComparisonOptions options)
    {
        if (holm <= options.Alpha)
        {
            return (metric.Difference > 0) != ItemMetrics.IsLoss(metric.Metric) ? "better" : "worse";
        }
        return metric.PEquivalence <= options.Alpha ? "equivalent" : "undecided";
    }

    /// <summary>Mean and spread of every task that two of the runs or more have, by its primary metric.</summary>
    /// <param name="runs">Runs of one base.</param>
    /// <param name="options">As they were compared.</param>
    public static IReadOnlyList<TaskSpread> Spread(IReadOnlyList<RunComparison> runs, ComparisonOptions options)
    {
        ArgumentNullException.ThrowIfNull(runs);
        ArgumentNullException.ThrowIfNull(options);
        var spread = new List<TaskSpread>();
        foreach (var task in runs.SelectMany(run => run.Tasks).DistinctBy(task => task.Task))
        {
            var found = runs.SelectMany(run => run.Tasks)
                .Where(other => other.Task == task.Task && other.Primary.Metric == task.Primary.Metric)
                .Select(other => other.Primary)
                .ToList();
            if (found.Count < 2)
            {
                continue;
            }
            double[] differences = [.. found.Select(metric => metric.Difference)];
            spread.Add(
                new TaskSpread(
                    task.Task,
                    task.Primary.Metric,
                    found.Count,
                    task.Primary.Base.Value,
                    found.Average(metric => metric.Tuned.Value),
                    differences.Average(),
                    Means.Deviation(differences),
                    differences.Min(),
                    differences.Max(),
                    WeightedMean.Of(differences).Test().Interval(options.Level)
                )
            );
        }
        return spread;
    }
}
