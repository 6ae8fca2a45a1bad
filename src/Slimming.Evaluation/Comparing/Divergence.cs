using System.Text.Json.Serialization;
using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Statistics;
using Slimming.Results;

namespace Slimming.Evaluation.Comparing;

/// <summary>How far one run's model is from its reference over a text: what merging, say, has changed.</summary>
/// <param name="Task">The task that measured it.</param>
/// <param name="Run">base or tuned: whose distance this is.</param>
/// <param name="Reference">base or tuned where that run's model is the reference; other where neither is.</param>
/// <param name="ReferenceName">Files of the reference.</param>
/// <param name="Tokens">Positions compared.</param>
/// <param name="Windows">Independent stretches of text that errors are taken over.</param>
/// <param name="MeanKl">Mean of KL(reference || model), nats; interval by Student's t over windows.</param>
/// <param name="KlP99">Its 99th percentile over tokens; Woodruff's interval.</param>
/// <param name="SameTop1">Share of positions where both find the same token most likely; Wilson's interval.</param>
public sealed record Divergence(
    string Task,
    string Run,
    string Reference,
    string ReferenceName,
    long Tokens,
    int Windows,
    Score MeanKl,
    Score KlP99,
    [property: JsonPropertyName("same_top_1")] Score SameTop1
)
{
    /// <summary>The distances that either run has measured, those from the other run first.</summary>
    internal static IReadOnlyList<Divergence> Between(ScoredItems start, ScoredItems tuned, double level) =>
        [
            .. Of(tuned, start, "tuned", "base", level)
                .Concat(Of(start, tuned, "base", "tuned", level))
                .OrderBy(found => found.Reference == "other"),
        ];

    /// <summary>Mean, 99th percentile and top tokens of windows.</summary>
    internal static (Score MeanKl, Score KlP99, Score SameTop1) Summarize(IReadOnlyList<ItemRow> rows, double level)
    {
        double[] weights = [.. rows.Select(row => ItemMetrics.Weight("mean_kl", row))];
        var mean = new WeightedMean([.. rows.Select(row => ItemMetrics.Score("mean_kl", row))], weights);
        var same = new WeightedMean([.. rows.Select(row => ItemMetrics.Score("same_top_1", row))], weights);
        var worst = ClusteredQuantile.Of([.. rows.Select(row => row.Kl!)], 0.99, level);
        return (
            new Score(mean.Value, mean.StandardError, mean.Test().Interval(level)),
            new Score(worst.Value, null, worst.Interval),
            new Score(same.Value, same.StandardError, Proportions.Wilson(same, level))
        );
    }

    private static IEnumerable<Divergence> Of(
        ScoredItems run,
        ScoredItems other,
        string name,
        string otherName,
        double level
    )
    {
        foreach (var task in run.Tasks.Where(run.IsDivergence))
        {
            var rows = run.Items(task).Values.OrderBy(row => row.Doc).ToList();
            var (mean, worst, same) = Summarize(rows, level);
            var environment = run.Info.Environment;
            var adapter = environment.GetValueOrDefault("reference_adapter", "");
            yield return new Divergence(
                task,
                name,
                run.IsReferenceOf(run) ? name
                    : other.IsReferenceOf(run) ? otherName
                    : "other",
                environment.GetValueOrDefault("reference_model", "") + (adapter.Length > 0 ? $" with {adapter}" : ""),
                rows.Sum(row => row.NTokens ?? 0),
                rows.Count,
                mean,
                worst,
                same
            );
        }
    }
}
