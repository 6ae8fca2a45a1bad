using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation.Scoring;

/// <summary>What an item contributes to a metric: the metric is sum(score) / sum(weight) over items, then as it is shown.</summary>
public static class ItemMetrics
{
    private static readonly string[] OfChoices = ["acc", "acc_norm"];
    private static readonly string[] OfGenerations =
    [
        "exact_match",
        "exact_match_strict",
        "exact_match_flexible",
        "tol_flex",
        "f1",
        "f1_em",
        "acc",
        "jaccard",
        "jaccard_set",
    ];
    private static readonly string[] OfTexts =
    [
        "word_perplexity",
        "byte_perplexity",
        "bits_per_byte",
        "token_perplexity",
    ];
    private static readonly string[] OfDistances = ["mean_kl", "kl_p99", "same_top_1"];

    /// <summary>Metrics in the order in which one is taken as a task's primary one.</summary>
    private static readonly string[] Preference =
    [
        "acc_norm",
        "acc",
        "exact_match_flexible",
        "exact_match_strict",
        "exact_match",
        "word_perplexity",
        "token_perplexity",
        "mean_kl",
    ];

    /// <summary>The metrics that tasks of a kind may have.</summary>
    public static IReadOnlyList<string> Of(TaskKind kind) =>
        kind switch
        {
            TaskKind.MultipleChoice => OfChoices,
            TaskKind.GenerateUntil => OfGenerations,
            TaskKind.Divergence => OfDistances,
            _ => OfTexts,
        };

    /// <summary>Of the metrics that a task has, the one that tests are about.</summary>
    public static string Primary(IReadOnlyCollection<string> metrics)
    {
        ArgumentNullException.ThrowIfNull(metrics);
        return Preference.FirstOrDefault(name => metrics.Contains(name, StringComparer.Ordinal)) ?? metrics.First();
    }

    /// <summary>A mean over text, for which less is better; scores are nats (bits_per_byte: bits) of the text.</summary>
    public static bool IsPerplexity(string metric) => OfTexts.Contains(metric, StringComparer.Ordinal);

    /// <summary>Every item is right or wrong: its score is 1 or 0.</summary>
    public static bool IsBinary(string metric) =>
        !IsPerplexity(metric)
        && !OfDistances.Contains(metric, StringComparer.Ordinal)
        && metric is not ("f1" or "f1_em" or "jaccard" or "jaccard_set");

    /// <summary>Less is better.</summary>
    public static bool IsLoss(string metric) => IsPerplexity(metric) || metric is "mean_kl" or "kl_p99";

    /// <summary>A percentile is no mean over items.</summary>
    public static bool IsMean(string metric) => metric != "kl_p99";

    /// <exception cref="SlimmingException">The row lacks the metric; names task and row.</exception>
    public static double Score(string metric, ItemRow row)
    {
        ArgumentNullException.ThrowIfNull(row);
        var score = metric switch
        {
            "acc" => row.Acc,
            "acc_norm" => row.AccNorm,
            "exact_match" or "exact_match_strict" => row.ExactMatchStrict,
            "exact_match_flexible" => row.ExactMatchFlexible,
            "tol_flex" => row.TolFlex,
            "f1" => row.F1,
            "f1_em" => (row.F1 + row.ExactMatchStrict) / 2,
            "jaccard" => row.Jaccard,
            "jaccard_set" => row.JaccardSet,
            "bits_per_byte" => row.Nll / Math.Log(2),
            "mean_kl" => row.Kl?.Sum(),
            "same_top_1" => row.SameTop1,
            _ when IsPerplexity(metric) => row.Nll,
            _ => null,
        };
        return score ?? throw Missing(metric, row);
    }

    /// <summary>Words, bytes or tokens of a text; 1 for an item with a score of its own.</summary>
    public static double Weight(string metric, ItemRow row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return metric switch
            {
                "word_perplexity" => row.NWords,
                "token_perplexity" or "mean_kl" or "same_top_1" => row.NTokens,
                "byte_perplexity" or "bits_per_byte" => row.NBytes,
                _ => 1,
            } ?? throw Missing(metric, row);
    }

    /// <summary>A mean as the metric prints it: perplexities are exp of mean nats.</summary>
    public static double Shown(string metric, double mean) =>
        IsPerplexity(metric) && metric != "bits_per_byte" ? Math.Exp(mean) : mean;

    private static SlimmingException Missing(string metric, ItemRow row) =>
        new(ExitCode.Failed, $"task {row.Task}, doc {row.Doc}: the row has no {metric}");
}
