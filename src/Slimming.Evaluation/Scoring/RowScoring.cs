using Slimming.Evaluation.Tasks;
using Slimming.Results;

namespace Slimming.Evaluation.Scoring;

/// <summary>Scores of one item from what the model answered; fresh answers and stored ones go the same way.</summary>
internal static class RowScoring
{
    /// <param name="row">The item.</param>
    /// <param name="task">Whether acc_norm is among its metrics.</param>
    /// <param name="likelihoods">Sum of log-probabilities of each choice, nats.</param>
    /// <param name="lengths">Code points of each choice without delimiter.</param>
    /// <param name="gold">The right one.</param>
    public static ItemRow WithChoices(
        ItemRow row,
        TaskDefinition task,
        IReadOnlyList<double> likelihoods,
        IReadOnlyList<int> lengths,
        long gold
    )
    {
        var pred = ArgMax(likelihoods);
        var norm = ArgMax([.. likelihoods.Select((value, choice) => value / lengths[choice])]);
        var hasNorm = task.Metrics.Contains("acc_norm", StringComparer.Ordinal);
        return row with
        {
            ChoiceLogprobs = likelihoods,
            Pred = pred,
            PredNorm = hasNorm ? norm : null,
            Gold = gold,
            Acc = pred == gold ? 1 : 0,
            AccNorm = hasNorm ? (norm == gold ? 1 : 0) : null,
        };
    }

    /// <param name="row">The item.</param>
    /// <param name="task">Which metrics it has.</param>
    /// <param name="generated">What the model wrote, cut at the stops.</param>
    /// <param name="targets">The right answers; the closest counts.</param>
    public static ItemRow WithAnswer(ItemRow row, TaskDefinition task, string generated, IReadOnlyList<string> targets)
    {
        var answers = new AnswerExtraction(task.Answer);
        var strict = answers.Strict(generated);
        var flexible = answers.Flexible(generated);
        var clean = answers.Clean(strict);
        double? jaccard = Has("jaccard", "acc") ? Best(TokenOverlap.Jaccard) : null;
        return row with
        {
            Generated = generated,
            Strict = strict,
            Flexible = flexible,
            ExactMatchStrict = targets.Any(target => answers.Matches(strict, target)) ? 1 : 0,
            ExactMatchFlexible = Flag(flexible, answers.Matches),
            TolFlex = Flag(flexible, answers.MatchesWithTolerance),
            F1 = Has("f1", "f1_em") ? Best(TokenOverlap.F1) : null,
            Jaccard = jaccard,
            JaccardSet = Has("jaccard_set") ? Best(TokenOverlap.JaccardOfSets) : null,
            Acc = Has("acc") ? (jaccard >= 1 ? 1 : 0) : null,
        };

        bool Has(params ReadOnlySpan<string> metrics)
        {
            foreach (var metric in metrics)
            {
                if (task.Metrics.Contains(metric))
                {
                    return true;
                }
            }
            return false;
        }

        double Best(Func<string, string, double> overlap) =>
            targets.Max(target => overlap(clean, answers.Clean(target)));

        double? Flag(string? answer, Func<string, string, bool> matches) =>
            answer is null ? null
            : targets.Any(target => matches(answer, target)) ? 1
            : 0;
    }

    /// <summary>Index of the largest value, the lowest of equals.</summary>
    private static int ArgMax(IReadOnlyList<double> values)
    {
        var best = 0;
        for (var i = 1; i < values.Count; i++)
        {
            best = values[i] > values[best] ? i : best;
        }
        return best;
    }
}
