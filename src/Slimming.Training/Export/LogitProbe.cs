using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;

namespace Slimming.Training.Export;

/// <summary>Runs one fixed text through the native forward and through llama.cpp (F32 cache, no flash attention).</summary>
internal sealed class LogitProbe
{
    /// <summary>Rows of one sequence: logits of that many positions are held at once.</summary>
    private const int SequenceTokens = 64;

    private const string Text = """
        The harbour was quiet when the first boat came in. Two men carried the nets up the stone steps, and a third stayed
        behind to count what they had caught: forty-one herring, six mackerel and a single crab. "Is that all?" asked the
        woman at the gate. He shrugged, wrote the numbers into a small book (date, weather, catch) and closed it again.

        Water boils at 100 degrees Celsius at sea level; on a mountain of 3,000 metres it boils at about 90 degrees, because
        the air presses less. To find the area of a circle, multiply pi by the square of its radius. If a train leaves at
        14:05 and travels 120 km at 80 km/h, it arrives at 15:35.

        def mean(values):
            total = 0.0
            for value in values:
                total += value
            return total / len(values)

        Dear Ms. Okafor, thank you for your letter of 12 May. We are sorry that the parcel arrived late. Please find enclosed
        a new one, together with the receipt that you asked for. The shop is open from Monday to Friday, nine to five, and
        on Saturday until noon. Yours sincerely, the team.
        """;

    private readonly List<int[]> _sequences = [];

    /// <param name="vocab">Of the base.</param>
    /// <param name="contextLength">Most tokens of a sequence.</param>
    /// <param name="positions">About how many to compare; fewer where the text ends.</param>
    public LogitProbe(LlamaVocab vocab, int contextLength, int positions)
        : this(vocab, contextLength, positions, Text) { }

    internal LogitProbe(LlamaVocab vocab, int contextLength, int positions, string text)
    {
        var tokens = vocab.Tokenize(text, addSpecial: false, parseSpecial: false);
        var length = Math.Min(SequenceTokens, contextLength);
        var head = vocab.AddBos && vocab.Bos >= 0 ? [vocab.Bos] : Array.Empty<int>();
        foreach (var chunk in tokens.Take(positions).Chunk(Math.Max(1, length - head.Length)))
        {
            _sequences.Add([.. head, .. chunk]);
        }
    }

    public int Positions => _sequences.Sum(s => s.Length);

    /// <summary>Per sequence, [tokens, n_vocab].</summary>
    public List<float[]> Native(NativeModel model, NativeAdapter? adapter)
    {
        using var context = new NativeContext(
            model,
            adapter,
            new ContextParams
            {
                MicroBatchTokens = SequenceTokens,
                MaxSequenceTokens = SequenceTokens,
                LogitRows = SequenceTokens,
            }
        );
        var all = new List<float[]>();
        foreach (var tokens in _sequences)
        {
            var logits = new float[(long)tokens.Length * context.VocabularySize];
            long[] rows = [.. Enumerable.Range(0, tokens.Length).Select(i => (long)i)];
            context.Logits(Batch.Single(tokens), rows, logits);
            all.Add(logits);
        }
        return all;
    }

    /// <summary>Per sequence, [tokens, n_vocab].</summary>
    public List<float[]> Llama(LlamaModel model, LlamaAdapter? adapter, int threads)
    {
        using var context = LlamaContext.Create(
            model,
            new LlamaContextOptions
            {
                ContextTokens = SequenceTokens,
                BatchTokens = SequenceTokens,
                MicroBatchTokens = SequenceTokens,
                Threads = threads,
                CacheType = GgmlType.F32,
                FlashAttention = false,
            }
        );
        if (adapter != null)
        {
            context.SetAdapters((adapter, 1f));
        }
        var all = new List<float[]>();
        foreach (var tokens in _sequences)
        {
            context.Clear();
            var batch = new LlamaBatch();
            for (var i = 0; i < tokens.Length; i++)
            {
                batch.Add(tokens[i], i, [0], output: true);
            }
            context.Decode(batch);
            var vocabulary = model.Vocab.Count;
            var logits = new float[(long)tokens.Length * vocabulary];
            for (var i = 0; i < tokens.Length; i++)
            {
                context.Logits(i).CopyTo(logits.AsSpan(i * vocabulary, vocabulary));
            }
            all.Add(logits);
        }
        return all;
    }
}
