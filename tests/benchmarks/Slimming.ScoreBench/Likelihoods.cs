using Slimming.Evaluation.Engine;

namespace Slimming.ScoreBench;

/// <summary>Multiple choice: scored tokens and items a second.</summary>
internal static class Likelihoods
{
    /// <summary>Tokens a second, each shared one counted once, against prefill of 512-token prompts with the same share of logits.</summary>
    public static int HellaSwag(LlamaEngine engine, string dataDir, int rounds)
    {
        const int group = 32;
        var items = Measure.Requests(engine, "hellaswag", dataDir, null, group * rounds);
        using var context = engine.NewContext(Measure.PromptTokens, 1, unified: true);
        List<double> scored = [];
        List<double> prefill = [];
        foreach (var part in items.Chunk(group))
        {
            var (tokens, rows) = Count(part);
            var share = (double)rows / tokens;
            int[] text = [.. part.SelectMany(item => item[0].Context.Concat(item[0].Continuation))];
            scored.Add(tokens / Measure.Seconds(() => engine.Score([.. part.SelectMany(item => item)])));
            var prompts = text.Chunk(Measure.PromptTokens)
                .Where(chunk => chunk.Length == Measure.PromptTokens)
                .ToList();
            var seconds = Measure.Seconds(() =>
                prompts.ForEach(prompt =>
                    Measure.Prefill(context, prompt, t => (int)((t + 1) * share) > (int)(t * share))
                )
            );
            prefill.Add(prompts.Count * Measure.PromptTokens / seconds);
            Console.WriteLine(
                $"{part.Length} items, {tokens} tokens, logits after {share:p0}: {scored[^1]:0.0} tokens/s scored, {prefill[^1]:0.0} prefill, ratio {Measure.Text(scored[^1] / prefill[^1])}"
            );
        }
        return Measure.Verdict(
            "hellaswag scored tokens/s over prefill's",
            Measure.Median(scored.Zip(prefill, (a, b) => a / b)),
            0.85
        );
    }

    /// <summary>Items a second against running every prompt from its first token (once for all its choices).</summary>
    public static int Mmlu(LlamaEngine engine, string dataDir, int rounds)
    {
        const int group = 16;
        const int plainItems = 2;
        var items = Measure.Requests(engine, "mmlu_college_computer_science", dataDir, 5, group * rounds);
        var longest = items.Max(item => item[0].Context.Length);
        using var context = engine.NewContext(longest, 1, unified: true);
        engine.ShareHeader(items[0][0].Context[..CommonPrefix(items)]);
        engine.Score(items[0]);
        List<double> shared = [];
        List<double> plain = [];
        foreach (var part in items.Chunk(group))
        {
            shared.Add(part.Length / Measure.Seconds(() => engine.Score([.. part.SelectMany(item => item)])));
            var some = part.Take(plainItems).ToList();
            var seconds = Measure.Seconds(() =>
                some.ForEach(item => Measure.Prefill(context, item[0].Context, _ => false))
            );
            plain.Add(some.Count / seconds);
            Console.WriteLine(
                $"{part.Length} items, prompts of {part.Average(item => item[0].Context.Length):0} tokens, {CommonPrefix(items)} of them shared: {shared[^1]:0.00} items/s shared, {plain[^1]:0.00} each prompt anew, ratio {Measure.Text(shared[^1] / plain[^1])}"
            );
        }
        return Measure.Verdict(
            "mmlu 5-shot items/s over those of running each prompt once from its start",
            Measure.Median(shared.Zip(plain, (a, b) => a / b)),
            5
        );
    }

    private static int CommonPrefix(List<ScoreRequest[]> items) =>
        items.Min(item => item[0].Context.AsSpan().CommonPrefixLength(items[0][0].Context));

    private static (int Tokens, int Rows) Count(IEnumerable<ScoreRequest[]> items)
    {
        var tokens = 0;
        var rows = 0;
        foreach (var item in items)
        {
            var trie = new TokenTrie([]);
            for (var i = 0; i < item.Length; i++)
            {
                trie.Add(i, [.. item[i].Context, .. item[i].Continuation[..^1]], item[i].Continuation);
            }
            tokens += trie.Entries.Count;
            rows += trie.Entries.Count(entry => entry.Consumers.Count > 0);
        }
        return (tokens, rows);
    }
}
