namespace Slimming.Results;

/// <summary>What holds of every stored item; a file from elsewhere may say otherwise.</summary>
internal static class ItemCheck
{
    /// <exception cref="ResultsException">The item contradicts itself.</exception>
    public static ItemRow Require(ItemRow row, string path) =>
        Fault(row) is { } fault
            ? throw new ResultsException(ResultsFault.Usage, $"{path}: task {row.Task}, doc {row.Doc}: {fault}")
            : row;

    private static string? Fault(ItemRow row)
    {
        if (ResultColumns.NonFinite(ResultColumns.Items, row) is { } column)
        {
            return $"{column} is not a finite number";
        }
        if (row.Kl is { Count: 0 } || row.ChoiceLogprobs is { Count: 0 })
        {
            return "kl or choice_logprobs is an empty list; expected a value at least";
        }
        foreach (
            var (name, count) in new[] { ("n_tokens", row.NTokens), ("n_words", row.NWords), ("n_bytes", row.NBytes) }
        )
        {
            if (count is < 0 or > int.MaxValue)
            {
                return $"{name} is {count}, expected 0 to {int.MaxValue}";
            }
        }
        var choices = row.ChoiceLogprobs?.Count ?? 1;
        foreach (var (name, choice) in new[] { ("gold", row.Gold), ("pred", row.Pred), ("pred_norm", row.PredNorm) })
        {
            if (choice < 0 || choice >= choices)
            {
                return $"{name} is {choice}, expected a choice from 0 to {choices - 1}";
            }
        }
        return TextFault(row, choices);
    }

    /// <summary>A context for all choices or one for each; a continuation for each, of answers one at least.</summary>
    private static string? TextFault(ItemRow row, int choices)
    {
        foreach (var (name, texts) in new[] { ("contexts", row.Contexts), ("questions", row.Questions) })
        {
            if (texts is not null && texts.Count != 1 && texts.Count != choices)
            {
                return $"{name} holds {texts.Count} texts, expected 1 or {choices}";
            }
        }
        if (row.Continuations is not { } continuations)
        {
            return null;
        }
        var fits = row.ChoiceLogprobs is null ? continuations.Count > 0 : continuations.Count == choices;
        return fits ? null : $"continuations holds {continuations.Count} texts, expected {choices}";
    }
}
