namespace Slimming.Results;

/// <summary>Rows read from results files, as records.</summary>
internal static class ResultRows
{
    public static ItemKey Key(DuckDbRow row) =>
        new(row.Text("task")!, row.Integer("doc")!.Value, row.Text("item_hash")!);

    public static ItemRow Item(DuckDbRow row) =>
        new()
        {
            Task = row.Text("task")!,
            TaskVersion = row.Text("task_version")!,
            Doc = row.Integer("doc")!.Value,
            ItemHash = row.Text("item_hash")!,
            PromptHash = row.Text("prompt_hash")!,
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

    public static ItemRow WithTexts(ItemRow item, DuckDbRow row) =>
        item with
        {
            Contexts = row.List<string>("contexts"),
            Continuations = row.List<string>("continuations"),
            Questions = Has(row, "questions") ? row.List<string>("questions") : null,
        };

    public static ItemRow WithTokens(ItemRow item, DuckDbRow row) =>
        item with
        {
            CtxIds = Nested(row["ctx_ids"]),
            ContIds = Nested(row["cont_ids"]),
        };

    public static MetricRow Metric(DuckDbRow row) =>
        new(
            row.Text("task")!,
            row.Text("task_version")!,
            row.Text("metric")!,
            row.Number("value")!.Value,
            row.Integer("n")!.Value,
            row.Number("stderr"),
            row.Number("interval_low"),
            row.Number("interval_high"),
            row.Text("engine")!,
            row.Text("machine")!,
            row.Text("commit")!
        )
        {
            Truncated = Has(row, "truncated") ? row.Integer("truncated") ?? 0 : 0,
            Members = Has(row, "members") ? row.Integer("members") ?? 0 : 0,
        };

    private static bool Has(DuckDbRow row, string column) => row.Columns.Contains(column, StringComparer.Ordinal);

    private static long[][]? Nested(object? value) =>
        (value as Array)?.Cast<Array>().Select(inner => inner.Cast<long>().ToArray()).ToArray();
}
