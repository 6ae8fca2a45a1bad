using Slimming.Evaluation.Scoring;
using Slimming.Results;

namespace Slimming.Evaluation.Comparing;

/// <summary>Finds the items that one model has right and the other wrong, with what was asked and answered.</summary>
internal static class TransitionFinder
{
    public static TransitionTable Find(
        ScoredItems start,
        string task,
        string metric,
        IReadOnlyList<(ItemRow Base, ItemRow Tuned)> pairs
    )
    {
        // The members of a group list the items; the group has their counts.
        var listed = start.Groups.Contains(task, StringComparer.Ordinal) ? [] : pairs;
        var changed = listed.Where(pair => Right(metric, pair.Base) != Right(metric, pair.Tuned)).ToList();
        // Both were asked the same (prompt_hash): the base's texts do for both.
        var texts = start.Texts(task, changed.Select(pair => pair.Base.Key).ToHashSet());
        return new TransitionTable(
            metric,
            Count(true, true),
            Count(true, false),
            Count(false, true),
            Count(false, false),
            [.. changed.Select(pair => Describe(metric, pair.Base, pair.Tuned, texts.GetValueOrDefault(pair.Base.Key)))]
        );

        long Count(bool before, bool after) =>
            pairs.LongCount(pair => Right(metric, pair.Base) == before && Right(metric, pair.Tuned) == after);
    }

    private static bool Right(string metric, ItemRow row) => ItemMetrics.Score(metric, row) > 0.5;

    private static Transition Describe(string metric, ItemRow start, ItemRow tuned, ItemRow? text)
    {
        var generated = start.Generated is not null;
        var questions = text?.Questions ?? text?.Contexts;
        return new Transition(
            Right(metric, start) ? "right_to_wrong" : "wrong_to_right",
            start.Doc,
            start.ItemHash,
            generated || questions?.Count == 1 ? questions?[0] : null,
            generated ? text?.Continuations?[0] : Choice(text, start.Gold),
            generated ? start.Generated : Choice(text, Chosen(metric, start)),
            generated ? tuned.Generated : Choice(text, Chosen(metric, tuned))
        );
    }

    private static long? Chosen(string metric, ItemRow row) => metric == "acc_norm" ? row.PredNorm : row.Pred;

    /// <summary>The choice's text; where contexts are chosen between, context and ending together.</summary>
    private static string? Choice(ItemRow? text, long? choice)
    {
        if (choice is not { } index)
        {
            return null;
        }
        if (text?.Continuations is not { } continuations)
        {
            return $"choice {index}";
        }
        var context = (text.Questions ?? text.Contexts) is { Count: > 1 } contexts ? contexts[(int)index] : "";
        return (context + continuations[(int)index]).Trim();
    }
}
