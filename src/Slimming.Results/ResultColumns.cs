namespace Slimming.Results;

/// <summary>One column of a results file: its name, type, and how it is taken from a record.</summary>
internal sealed record ResultColumn<T>(string Name, DuckDbType Type, Func<T, object?> Get);

/// <summary>The schema of each results file; readers and writers both go by it.</summary>
internal static class ResultColumns
{
    private static readonly DuckDbType s_integers = DuckDbType.ListOf(DuckDbType.BigInt);
    private static readonly DuckDbType s_texts = DuckDbType.ListOf(DuckDbType.Varchar);

    /// <summary>What every file of items, texts or tokens begins with.</summary>
    public static IReadOnlyList<ResultColumn<ItemRow>> Key { get; } =
    [
        new("task", DuckDbType.Varchar, r => r.Task),
        new("doc", DuckDbType.BigInt, r => r.Doc),
        new("item_hash", DuckDbType.Varchar, r => r.ItemHash),
    ];

    public static IReadOnlyList<ResultColumn<ItemRow>> Items { get; } =
    [
        new("task", DuckDbType.Varchar, r => r.Task),
        new("task_version", DuckDbType.Varchar, r => r.TaskVersion),
        new("doc", DuckDbType.BigInt, r => r.Doc),
        new("item_hash", DuckDbType.Varchar, r => r.ItemHash),
        new("prompt_hash", DuckDbType.Varchar, r => r.PromptHash),
        new("n_ctx", s_integers, r => r.NCtx),
        new("n_cont", s_integers, r => r.NCont),
        new("choice_logprobs", DuckDbType.ListOf(DuckDbType.Double), r => r.ChoiceLogprobs),
        new("pred", DuckDbType.BigInt, r => r.Pred),
        new("pred_norm", DuckDbType.BigInt, r => r.PredNorm),
        new("gold", DuckDbType.BigInt, r => r.Gold),
        new("acc", DuckDbType.Double, r => r.Acc),
        new("acc_norm", DuckDbType.Double, r => r.AccNorm),
        new("greedy", DuckDbType.ListOf(DuckDbType.Boolean), r => r.Greedy),
        new("generated", DuckDbType.Varchar, r => r.Generated),
        new("strict", DuckDbType.Varchar, r => r.Strict),
        new("flexible", DuckDbType.Varchar, r => r.Flexible),
        new("exact_match_strict", DuckDbType.Double, r => r.ExactMatchStrict),
        new("exact_match_flexible", DuckDbType.Double, r => r.ExactMatchFlexible),
        new("tol_flex", DuckDbType.Double, r => r.TolFlex),
        new("nll", DuckDbType.Double, r => r.Nll),
        new("n_tokens", DuckDbType.BigInt, r => r.NTokens),
        new("n_words", DuckDbType.BigInt, r => r.NWords),
        new("n_bytes", DuckDbType.BigInt, r => r.NBytes),
        new("truncated", DuckDbType.Boolean, r => r.Truncated),
        new("cluster", DuckDbType.Varchar, r => r.Cluster),
        new("subject", DuckDbType.Varchar, r => r.Subject),
        new("groups", s_texts, r => r.Groups),
        new("f1", DuckDbType.Double, r => r.F1),
        new("jaccard", DuckDbType.Double, r => r.Jaccard),
        new("jaccard_set", DuckDbType.Double, r => r.JaccardSet),
        new("kl", DuckDbType.ListOf(DuckDbType.Double), r => r.Kl),
        new("same_top_1", DuckDbType.BigInt, r => r.SameTop1),
    ];

    public static IReadOnlyList<ResultColumn<ItemRow>> Texts { get; } =
    [
        .. Key,
        new("contexts", s_texts, r => r.Contexts),
        new("continuations", s_texts, r => r.Continuations),
        new("questions", s_texts, r => r.Questions),
    ];

    public static IReadOnlyList<ResultColumn<ItemRow>> Tokens { get; } =
    [
        .. Key,
        new("ctx_ids", DuckDbType.ListOf(s_integers), r => r.CtxIds),
        new("cont_ids", DuckDbType.ListOf(s_integers), r => r.ContIds),
    ];

    public static IReadOnlyList<ResultColumn<MetricRow>> Summary { get; } =
    [
        new("task", DuckDbType.Varchar, r => r.Task),
        new("task_version", DuckDbType.Varchar, r => r.TaskVersion),
        new("metric", DuckDbType.Varchar, r => r.Metric),
        new("value", DuckDbType.Double, r => r.Value),
        new("n", DuckDbType.BigInt, r => r.N),
        new("stderr", DuckDbType.Double, r => r.Stderr),
        new("interval_low", DuckDbType.Double, r => r.IntervalLow),
        new("interval_high", DuckDbType.Double, r => r.IntervalHigh),
        new("engine", DuckDbType.Varchar, r => r.Engine),
        new("machine", DuckDbType.Varchar, r => r.Machine),
        new("commit", DuckDbType.Varchar, r => r.Commit),
        new("truncated", DuckDbType.BigInt, r => r.Truncated),
        new("members", DuckDbType.BigInt, r => r.Members),
    ];

    /// <summary>The name of the first value that is NaN or infinite, or null.</summary>
    public static string? NonFinite<T>(IEnumerable<ResultColumn<T>> columns, T row) =>
        columns.FirstOrDefault(c => IsNonFinite(c.Get(row)))?.Name;

    private static bool IsNonFinite(object? value) =>
        value switch
        {
            double number => !double.IsFinite(number),
            IEnumerable<double> numbers => numbers.Any(x => !double.IsFinite(x)),
            _ => false,
        };
}
