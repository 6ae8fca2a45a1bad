namespace Slimming.Results;

/// <summary>Rows read from results files, as records.</summary>
internal static class ResultRows
{
    public static ItemKey Key(DuckDbRow row) => new(Text(row, "task"), Whole(row, "doc"), Text(row, "item_hash"));

    public static ItemRow Item(DuckDbRow row) =>
        new()
        {
            Task = Text(row, "task"),
            TaskVersion = Text(row, "task_version"),
            Doc = Whole(row, "doc"),
            ItemHash = Text(row, "item_hash"),
            PromptHash = Text(row, "prompt_hash"),
            // Results written before these columns were added have none.
            Cluster = Has(row, "cluster") ? row.Text("cluster") : null,
            Subject = Has(row, "subject") ? row.Text("subject") : null,
            Groups = Has(row, "groups") ? row.List<string>("groups") : null,
            F1 = Has(row, "f1") ? row.Number("f1") : null,
            Jaccard = Has(row, "jaccard") ? row.Number("jaccard") : null,
            JaccardSet = Has(row, "jaccard_set") ? row.Number("jaccard_set") : null,
            NCtx = row.List<long>("n_ctx"),
            NCont = row.List<long>("n_cont"),
            ChoiceLogprobs = row.List<double>("choice_logprobs"),
            Pred = row.Integer("pred"),
            PredNorm = row.Integer("pred_norm"),
            Gold = row.Integer("gold"),
            Acc = row.Number("acc"),
            AccNorm = row.Number("acc_norm"),
            Greedy = row.List<bool>("greedy"),
            Generated = row.Text("generated"),
            Strict = row.Text("strict"),
            Flexible = row.Text("flexible"),
            ExactMatchStrict = row.Number("exact_match_strict"),
            ExactMatchFlexible = row.Number("exact_match_flexible"),
            TolFlex = row.Number("tol_flex"),
            Nll = row.Number("nll"),
            NTokens = row.Integer("n_tokens"),
            NWords = row.Integer("n_words"),
            NBytes = row.Integer("n_bytes"),
            Truncated = row.Flag("truncated") ?? false,
            Kl = Has(row, "kl") ? row.List<double>("kl") : null,
            SameTop1 = Has(row, "same_top_1") ? row.Integer("same_top_1") : null,
        };

    /// <summary>A row of texts or tokens: the item that it belongs to, and what it adds.</summary>
    public static (ItemKey Key, Func<ItemRow, ItemRow> Add) Side(DuckDbRow row, string kind)
    {
        var key = Key(row);
        if (kind == "tokens")
        {
            var (contextIds, continuationIds) = (row.Lists<long>("ctx_ids"), row.Lists<long>("cont_ids"));
            return (key, item => item with { CtxIds = contextIds, ContIds = continuationIds });
        }
        var (contexts, continuations) = (row.List<string>("contexts"), row.List<string>("continuations"));
        var questions = Has(row, "questions") ? row.List<string>("questions") : null;
        return (key, item => item with { Contexts = contexts, Continuations = continuations, Questions = questions });
    }

    public static MetricRow Metric(DuckDbRow row) =>
        new(
            Text(row, "task"),
            Text(row, "task_version"),
            Text(row, "metric"),
            row.Number("value") ?? throw Missing("value"),
            Whole(row, "n"),
            row.Number("stderr"),
            row.Number("interval_low"),
            row.Number("interval_high"),
            Text(row, "engine"),
            Text(row, "machine"),
            Text(row, "commit")
        )
        {
            Truncated = Has(row, "truncated") ? row.Integer("truncated") ?? 0 : 0,
            Members = Has(row, "members") ? row.Integer("members") ?? 0 : 0,
        };

    private static bool Has(DuckDbRow row, string column) => row.Columns.Contains(column, StringComparer.Ordinal);

    private static string Text(DuckDbRow row, string column) => row.Text(column) ?? throw Missing(column);

    private static long Whole(DuckDbRow row, string column) => row.Integer(column) ?? throw Missing(column);

    private static ResultsException Missing(string column) =>
        new(ResultsFault.Usage, $"column '{column}' is null; expected a value");
}
