using Slimming.Evaluation.Comparing;
using Slimming.Evaluation.Statistics;
using Slimming.Evaluation.Tasks;
using Slimming.Results;

namespace Slimming.Evaluation.Scoring;

/// <summary>Metrics of a task from its item rows.</summary>
internal static class Summary
{
    /// <summary>Metrics of all tasks of a run, then of its groups.</summary>
    /// <param name="tasks">Without variants.</param>
    /// <param name="groups">Groups of them.</param>
    /// <param name="rows">All items.</param>
    /// <param name="origin">Engine, machine and commit as results carry them.</param>
    public static List<MetricRow> Of(
        IReadOnlyList<TaskDefinition> tasks,
        IReadOnlyList<TaskGroup> groups,
        IEnumerable<ItemRow> rows,
        ResultOrigin origin
    )
    {
        var byTask = tasks.ToDictionary(
            task => task.Name,
            task => new TaskScores([
                .. task
                    .Metrics.Concat(groups.Where(group => group.Tasks.Contains(task.Name)).SelectMany(MetricsOf))
                    .Distinct(StringComparer.Ordinal),
            ]),
            StringComparer.Ordinal
        );
        foreach (var row in rows)
        {
            byTask[row.Task].Add(row);
        }
        return
        [
            .. tasks.SelectMany(task => OfTask(task, byTask[task.Name], origin)),
            .. groups.SelectMany(group => OfGroup(group, First(group), byTask, origin)),
        ];

        TaskDefinition First(TaskGroup group) => tasks.First(task => task.Name == group.Tasks[0]);
        IEnumerable<string> MetricsOf(TaskGroup group) => First(group).Metrics;
    }

    private static IEnumerable<MetricRow> OfTask(TaskDefinition task, TaskScores scores, ResultOrigin origin)
    {
        foreach (var metric in task.Metrics)
        {
            yield return task.Kind switch
            {
                TaskKind.Perplexity => Perplexity(task, metric, [scores], origin),
                TaskKind.Divergence => Distance(task, metric, scores, origin),
                _ => Mean(task, metric, [scores], Means.StandardError(scores.Of(metric)), origin),
            };
        }
    }

    private static MetricRow Distance(TaskDefinition task, string metric, TaskScores scores, ResultOrigin origin)
    {
        var (mean, worst, same) = Divergence.Summarize(scores.Windows, 0.95);
        var found =
            metric == "mean_kl" ? mean
            : metric == "kl_p99" ? worst
            : same;
        return Row(task, metric, found.Value, [scores], found.Stderr, found.Interval, origin);
    }

    /// <summary>Metrics of a group, each item with equal weight; the error is pooled over its tasks (METHODS.md section 5).</summary>
    private static IEnumerable<MetricRow> OfGroup(
        TaskGroup group,
        TaskDefinition first,
        Dictionary<string, TaskScores> scores,
        ResultOrigin origin
    )
    {
        var members = group.Tasks.Select(task => scores[task]).ToList();
        var together = first with { Name = group.Label };
        foreach (var metric in together.Metrics)
        {
            var value =
                together.Kind == TaskKind.Perplexity
                    ? Perplexity(together, metric, members, origin)
                    : Mean(
                        together,
                        metric,
                        members,
                        PooledError([.. members.Select(member => member.Of(metric))]),
                        origin
                    );
            yield return value with
            {
                Members = group.Tasks.Count,
            };
        }
    }

    /// <summary>sqrt(sum n_i (n_i - 1) se_i^2 / (sum n_i - k) / sum n_i) over k samples; null where no sample has two values.</summary>
    internal static double? PooledError(IReadOnlyList<IReadOnlyList<double>> samples)
    {
        var total = samples.Sum(values => values.Count);
        if (total <= samples.Count)
        {
            return null;
        }
        var squares = samples.Sum(values =>
            Means.StandardError(values) is { } error ? values.Count * (values.Count - 1.0) * error * error : 0
        );
        return Math.Sqrt(squares / (total - samples.Count) / total);
    }

    /// <summary>Scores that are not 0 or 1 lie between them all the same.</summary>
    private static Interval Bounded(Interval interval) => new(Math.Max(0, interval.Low), Math.Min(1, interval.High));

    private static MetricRow Mean(
        TaskDefinition task,
        string metric,
        IReadOnlyList<TaskScores> members,
        double? error,
        ResultOrigin origin
    )
    {
        List<double> values = [.. members.SelectMany(member => member.Of(metric))];
        var mean = values.Average();
        Interval? interval =
            ItemMetrics.IsBinary(metric) ? Proportions.Wilson(values.LongCount(value => value > 0.5), values.Count)
            : error is > 0 and var known ? Bounded(Interval.Around(mean, Distributions.NormalHalfWidth(0.95) * known))
            : null;
        return Row(task, metric, mean, members, error, interval, origin);
    }

    private static MetricRow Perplexity(
        TaskDefinition task,
        string metric,
        IReadOnlyList<TaskScores> members,
        ResultOrigin origin
    )
    {
        var value = ItemMetrics.Shown(
            metric,
            members.SelectMany(member => member.Of(metric)).Sum() / members.Sum(member => member.Weight(metric))
        );
        return Row(task, metric, value, members, stderr: null, interval: null, origin);
    }

    private static MetricRow Row(
        TaskDefinition task,
        string metric,
        double value,
        IReadOnlyList<TaskScores> members,
        double? stderr,
        Interval? interval,
        ResultOrigin origin
    ) =>
        new(
            task.Name,
            task.Version,
            metric,
            value,
            members.Sum(member => member.Count),
            stderr,
            interval?.Low,
            interval?.High,
            origin.Engine,
            origin.Machine,
            origin.Commit
        )
        {
            Truncated = members.Sum(member => member.Truncated),
        };
}

/// <summary>What made a result.</summary>
public sealed record ResultOrigin(string Engine, string Machine, string Commit);
