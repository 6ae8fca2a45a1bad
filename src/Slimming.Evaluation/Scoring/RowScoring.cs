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

    public static ItemRow WithAnswer(ItemRow row, AnswerExtraction answers, string generated, string target)
    {
        var strict = answers.Strict(generated);
        var flexible = answers.Flexible(generated);
        return row with
        {
            Generated = generated,
            Strict = strict,
            Flexible = flexible,
            ExactMatchStrict = answers.Matches(strict, target) ? 1 : 0,
            ExactMatchFlexible = flexible is null ? null : (answers.Matches(flexible, target) ? 1 : 0),
            TolFlex = flexible is null ? null : (answers.MatchesWithTolerance(flexible, target) ? 1 : 0),
        };
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
