using Slimming.Evaluation.Statistics;
using Slimming.Evaluation.Tasks;
using Slimming.Results;

namespace Slimming.Evaluation.Scoring;

/// <summary>Metrics of a task from its item rows.</summary>
internal static class Summary
{
    /// <param name="task">Whose metrics.</param>
    /// <param name="rows">All its items.</param>
    /// <param name="origin">Engine, machine and commit as results carry them.</param>
    public static IEnumerable<MetricRow> Of(TaskDefinition task, IReadOnlyList<ItemRow> rows, ResultOrigin origin)
    {
        foreach (var metric in task.Metrics)
        {
            yield return task.Kind == TaskKind.Perplexity
                ? Perplexity(task, metric, rows, origin)
                : Mean(task, metric, rows, origin);
        }
    }

    private static MetricRow Mean(TaskDefinition task, string metric, IReadOnlyList<ItemRow> rows, ResultOrigin origin)
    {
        var values = rows.Select(row => ItemMetrics.Score(metric, row)).ToList();
        var mean = values.Average();
        // Every score of these metrics is 0 or 1.
        var (low, high) = Proportions.Wilson(values.LongCount(value => value > 0.5), values.Count);
        return Row(task, metric, mean, values.Count, Means.StandardError(values), (low, high), origin);
    }

    private static MetricRow Perplexity(
        TaskDefinition task,
        string metric,
        IReadOnlyList<ItemRow> rows,
        ResultOrigin origin
    )
    {
        var value = ItemMetrics.Shown(
            metric,
            rows.Sum(row => ItemMetrics.Score(metric, row)) / rows.Sum(row => ItemMetrics.Weight(metric, row))
        );
        return Row(task, metric, value, rows.Count, stderr: null, interval: null, origin);
    }

    private static MetricRow Row(
        TaskDefinition task,
        string metric,
        double value,
        long n,
        double? stderr,
        (double Low, double High)? interval,
        ResultOrigin origin
    ) =>
        new(
            task.Name,
            task.Version,
            metric,
            value,
            n,
            stderr,
            interval?.Low,
            interval?.High,
            origin.Engine,
            origin.Machine,
            origin.Commit
        );
}

/// <summary>What made a result.</summary>
public sealed record ResultOrigin(string Engine, string Machine, string Commit);
