using Slimming.LlamaCpp;

namespace Slimming.Evaluation.Engine;

/// <summary>One finished hypothesis.</summary>
/// <param name="Tokens">New ids, the ending token included.</param>
/// <param name="Text">Their text without special tokens.</param>
/// <param name="Score">Sum of log-probabilities over the number of new tokens.</param>
/// <param name="SumLogProb">Sum of log-probabilities.</param>
/// <param name="StoppedBy">"eos" or "length".</param>
public sealed record BeamHypothesis(int[] Tokens, string Text, double Score, double SumLogProb, string StoppedBy);

/// <summary>
/// Beam search as transformers does it with length_penalty 1 and early_stopping false (METHODS.md section 4). Each
/// running beam is a sequence of the cache; beams that share a past share its cells.
/// </summary>
public sealed class BeamSearch(LlamaEngine engine, int beams)
{
    public const int MostBeams = LlamaContext.MaxSequences / 2;

    private readonly List<BeamHypothesis> _finished = [];

    private sealed record Running(int[] Tokens, double Sum);

    private readonly record struct Pair(int Beam, int Token, double Sum);

    /// <summary>The best hypotheses, best first, as many as beams.</summary>
    public IReadOnlyList<BeamHypothesis> Search(int[] prompt, int maxTokens, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentOutOfRangeException.ThrowIfLessThan(beams, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(beams, MostBeams);
        TextGenerator.CheckRoom(engine, prompt, maxTokens);
        _finished.Clear();
        using var context = engine.NewContext(prompt.Length + (maxTokens * beams), beams * 2, unified: true);
        List<Running> running = [new([], 0)];
        var pairs = Best(running, [TextGenerator.Prefill(context, prompt, cancellation).ToArray()]);
        for (var length = 1; ; length++)
        {
            if (length == maxTokens)
            {
                pairs.Take(beams).ToList().ForEach(pair => Finish(running, pair));
                return _finished;
            }
            var next = Select(running, pairs);
            if (next.Count == 0 || IsSettled(next[0].Sum / length))
            {
                return _finished;
            }
            var logits = Advance(context, next, prompt.Length + length - 1, cancellation);
            running = [.. next.Select(pair => new Running([.. running[pair.Beam].Tokens, pair.Token], pair.Sum))];
            pairs = Best(running, logits);
        }
    }

    /// <summary>Ends are kept when they rank among the first `beams` pairs; the best pairs that do not end go on.</summary>
    private List<Pair> Select(List<Running> running, List<Pair> pairs)
    {
        var next = new List<Pair>();
        for (var rank = 0; rank < pairs.Count; rank++)
        {
            if (!engine.Codec.EndsAnswer(pairs[rank].Token))
            {
                next.Add(pairs[rank]);
            }
            else if (rank < beams)
            {
                Finish(running, pairs[rank]);
            }
        }
        return [.. next.Take(beams)];
    }

    private void Finish(List<Running> running, Pair pair)
    {
        int[] tokens = [.. running[pair.Beam].Tokens, pair.Token];
        var text = engine.Codec.Detokenize(tokens);
        var ended = engine.Codec.EndsAnswer(pair.Token) ? "eos" : "length";
        _finished.Add(new BeamHypothesis(tokens, text, pair.Sum / tokens.Length, pair.Sum, ended));
        // Stable: of equal scores the earlier one stays first.
        var kept = _finished.OrderByDescending(hypothesis => hypothesis.Score).Take(beams).ToList();
        _finished.Clear();
        _finished.AddRange(kept);
    }

    private bool IsSettled(double bestRunning) => _finished.Count == beams && bestRunning <= _finished[^1].Score;

    /// <summary>The 2 x beams best continuations of all running beams, by summed log-probability.</summary>
    private List<Pair> Best(List<Running> running, List<float[]> logits)
    {
        var candidates = new List<Pair>();
        for (var beam = 0; beam < running.Count; beam++)
        {
            var (_, normalizer) = TextGenerator.Reduce(logits[beam]);
            foreach (var token in Top(logits[beam], 2 * beams))
            {
                candidates.Add(new Pair(beam, token, running[beam].Sum + logits[beam][token] - normalizer));
            }
        }
        return [.. candidates.OrderByDescending(pair => pair.Sum).Take(2 * beams)];
    }

    private static IEnumerable<int> Top(float[] logits, int count)
    {
        var queue = new PriorityQueue<int, float>();
        for (var token = 0; token < logits.Length; token++)
        {
            if (queue.Count < count)
            {
                queue.Enqueue(token, logits[token]);
            }
            else
            {
                queue.EnqueueDequeue(token, logits[token]);
            }
        }
        return queue.UnorderedItems.Select(item => item.Element).Order();
    }

    /// <summary>Gives each chosen pair its parent's cache and feeds its token.</summary>
    private List<float[]> Advance(LlamaContext context, List<Pair> next, int position, CancellationToken cancellation)
    {
        // Through spare sequences: a parent may go on in several beams and its own place be taken by another.
        for (var beam = 0; beam < next.Count; beam++)
        {
            context.Copy(next[beam].Beam, beams + beam);
        }
        for (var beam = 0; beam < beams; beam++)
        {
            context.Remove(beam);
        }
        var batch = new LlamaBatch();
        for (var beam = 0; beam < next.Count; beam++)
        {
            context.Copy(beams + beam, beam);
            batch.Add(next[beam].Token, position, [beam], output: true);
        }
        for (var beam = 0; beam < beams; beam++)
        {
            context.Remove(beams + beam);
        }
        context.Decode(batch, cancellation);
        return [.. Enumerable.Range(0, next.Count).Select(index => context.Logits(index).ToArray())];
    }
}
