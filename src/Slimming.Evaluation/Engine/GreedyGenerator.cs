using System.Text;
using Slimming.Gguf;
using Slimming.LlamaCpp;

namespace Slimming.Evaluation.Engine;

/// <summary>Makes a context: cells, sequences, whether cells are shared.</summary>
internal delegate LlamaContext ContextFactory(int cells, int sequences, bool unified);

/// <summary>
/// Greedy answers to several prompts at once. Each runs in a stream of its own; a finished one makes room for the next
/// prompt. The header is computed once and copied. What runs together depends on the requests of a call, the header and
/// the model's size alone.
/// </summary>
internal sealed class GreedyGenerator(LlamaModel model, ITextCodec codec, ContextFactory newContext, GgmlType cacheType)
    : IDisposable
{
    private const int MostTogether = 16;

    /// <summary>Bytes of the caches that run together: bounds memory, not results.</summary>
    private const long CacheBytes = 1L << 30;

    /// <summary>Holds the header where there is one; running answers have the numbers after it.</summary>
    private const int HeaderStream = 0;

    private LlamaContext? _context;
    private int[] _header = [];
    private bool _isHeaderCached;

    /// <summary>Tokens that the prompts of the next calls begin with.</summary>
    public int[] Header
    {
        get => _header;
        set
        {
            _isHeaderCached &= _header.AsSpan().SequenceEqual(value);
            _header = value;
        }
    }

    private int FirstStream => _header.Length > 0 ? HeaderStream + 1 : HeaderStream;

    public List<GenerationAnswer> Generate(IReadOnlyList<GenerationRequest> requests, CancellationToken cancellation)
    {
        var states = requests.Select(Prepare).ToList();
        if (states.Count == 0)
        {
            return [];
        }
        // Cells are padded per stream so that none borrows from its neighbour.
        var cells = (Math.Max(_header.Length, states.Max(state => state.Cells)) + 255) / 256 * 256;
        var perToken = model.CacheValuesPerToken * (cacheType == GgmlType.F32 ? 4 : 2);
        var affordable = CacheBytes / Math.Max(1, cells * perToken);
        var streams = (int)Math.Clamp(Math.Min(affordable, states.Count), 1, MostTogether);
        try
        {
            var context = ContextFor(cells, streams + FirstStream, cancellation);
            Run(context, states, streams, cancellation);
        }
        catch
        {
            Dispose();
            throw;
        }
        return states.ConvertAll(state => new GenerationAnswer(state.Text(codec), [.. state.Tokens], state.Truncated));
    }

    /// <summary>Gives back the cache; the next call makes a new one.</summary>
    public void Dispose()
    {
        _context?.Dispose();
        _context = null;
        _isHeaderCached = false;
    }

    private State Prepare(GenerationRequest request)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(request.MaxTokens, 1);
        ArgumentOutOfRangeException.ThrowIfZero(request.Prompt.Length);
        var room = model.ContextLength - request.MaxTokens;
        if (room < 1)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{request.MaxTokens} tokens to generate leave no room for a prompt in the model's context of {model.ContextLength}"
            );
        }
        var cut = request.Prompt.Length > room;
        var prompt = cut ? request.Prompt[^room..] : request.Prompt;
        // The text of EOS counts as a stop too, where a model spells it out.
        var end = model.Vocab.Eos >= 0 ? model.Vocab.TokenText(model.Vocab.Eos) : "";
        IReadOnlyList<string> stops = [.. request.Stops.Append(end).Where(stop => stop.Length > 0)];
        return new State(prompt, request.MaxTokens, stops, cut);
    }

    private LlamaContext ContextFor(int cells, int sequences, CancellationToken cancellation)
    {
        if (
            _context is null
            || _context.Options.Sequences < sequences
            || _context.Options.ContextTokens / _context.Options.Sequences < cells
        )
        {
            Dispose();
            _context = newContext(cells * sequences, sequences, unified: false);
        }
        if (!_isHeaderCached)
        {
            _context.Clear();
            _context.Feed(_header, HeaderStream, position: 0, output: false, cancellation);
            _isHeaderCached = true;
        }
        return _context;
    }

    private void Run(LlamaContext context, List<State> states, int streams, CancellationToken cancellation)
    {
        var waiting = new Queue<State>(states);
        var running = new List<State>();
        var batch = new LlamaBatch();
        while (true)
        {
            while (running.Count < streams && waiting.Count > 0)
            {
                Begin(context, waiting, running, streams, cancellation);
            }
            if (running.Count == 0)
            {
                return;
            }
            batch.Clear();
            for (var s = 0; s < running.Count; s++)
            {
                var position = running[s].Prompt.Length + running[s].Tokens.Count - 1;
                batch.Add(running[s].Tokens[^1], position, [FirstStream + s], output: true);
            }
            context.Decode(batch, cancellation);
            for (var s = 0; s < running.Count; s++)
            {
                Take(running[s], context.Logits(s));
            }
            ReplaceDone(context, waiting, running, cancellation);
        }
    }

    /// <summary>Prefills as many waiting prompts as free streams and one decode take, at least one.</summary>
    private void Begin(
        LlamaContext context,
        Queue<State> waiting,
        List<State> running,
        int streams,
        CancellationToken cancellation
    )
    {
        var first = running.Count;
        var tokens = waiting.Peek().Prompt.Length;
        do
        {
            running.Add(waiting.Dequeue());
        } while (
            running.Count < streams
            && waiting.TryPeek(out var next)
            && (tokens += next.Prompt.Length) <= context.Options.BatchTokens
        );
        if (running.Count - first == 1)
        {
            Prefill(context, running[first], FirstStream + first, cancellation);
        }
        else
        {
            PrefillTogether(context, running, first, cancellation);
        }
        ReplaceDone(context, waiting, running, cancellation);
    }

    private void PrefillTogether(LlamaContext context, List<State> running, int first, CancellationToken cancellation)
    {
        var batch = new LlamaBatch();
        var lasts = new List<int>();
        for (var s = first; s < running.Count; s++)
        {
            var prompt = running[s].Prompt;
            for (var t = FromHeader(context, prompt, FirstStream + s); t < prompt.Length; t++)
            {
                var last = t == prompt.Length - 1;
                var index = batch.Add(prompt[t], t, [FirstStream + s], output: last);
                if (last)
                {
                    lasts.Add(index);
                }
            }
        }
        context.Decode(batch, cancellation);
        for (var s = first; s < running.Count; s++)
        {
            Take(running[s], context.Logits(lasts[s - first]));
        }
    }

    private void ReplaceDone(
        LlamaContext context,
        Queue<State> waiting,
        List<State> running,
        CancellationToken cancellation
    )
    {
        for (var s = running.Count - 1; s >= 0; s--)
        {
            if (running[s].Done)
            {
                Replace(context, waiting, running, s, cancellation);
            }
        }
    }

    /// <summary>Puts the next prompt into the stream of a finished one, or the last running one where none waits.</summary>
    private void Replace(
        LlamaContext context,
        Queue<State> waiting,
        List<State> running,
        int s,
        CancellationToken cancellation
    )
    {
        context.Remove(FirstStream + s);
        if (Next(context, waiting, FirstStream + s, cancellation) is { } state)
        {
            running[s] = state;
            return;
        }
        if (s + 1 < running.Count)
        {
            // llama.cpp decodes streams in one pass only where their numbers have no gap.
            var last = FirstStream + running.Count - 1;
            context.Copy(last, FirstStream + s);
            context.Remove(last);
            running[s] = running[^1];
        }
        running.RemoveAt(running.Count - 1);
    }

    /// <summary>Prefills the next prompt whose answer has more than one token; null where none waits.</summary>
    private State? Next(LlamaContext context, Queue<State> waiting, int stream, CancellationToken cancellation)
    {
        while (waiting.TryDequeue(out var state))
        {
            Prefill(context, state, stream, cancellation);
            if (!state.Done)
            {
                return state;
            }
            context.Remove(stream);
        }
        return null;
    }

    private void Prefill(LlamaContext context, State state, int stream, CancellationToken cancellation)
    {
        var shared = FromHeader(context, state.Prompt, stream);
        var last = context.Feed(state.Prompt.AsSpan(shared), stream, shared, output: true, cancellation);
        Take(state, context.Logits(last));
    }

    /// <summary>Gives a stream the header where a prompt begins with it; how many tokens that is.</summary>
    private int FromHeader(LlamaContext context, int[] prompt, int stream)
    {
        // Streams are copied whole, so a prompt that leaves the header early shares nothing.
        if (_header.Length == 0 || !prompt.AsSpan(..^1).StartsWith(_header))
        {
            return 0;
        }
        context.Copy(HeaderStream, stream);
        return _header.Length;
    }

    private void Take(State state, ReadOnlySpan<float> logits)
    {
        var best = LogSoftmax.ArgMax(logits);
        if (!float.IsFinite(logits[best]))
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{model.Path}: logit of token {best} is {logits[best]} while generating"
            );
        }
        state.Tokens.Add(best);
        state.Done = state.Tokens.Count == state.MaxTokens || codec.EndsAnswer(best) || state.EndsInStop(codec);
    }

    private sealed class State(int[] prompt, int maxTokens, IReadOnlyList<string> stops, bool truncated)
    {
        private readonly int _tail = 16 + stops.Select(Encoding.UTF8.GetByteCount).DefaultIfEmpty().Max();

        public int[] Prompt { get; } = prompt;
        public int MaxTokens { get; } = maxTokens;
        public bool Truncated { get; } = truncated;
        public List<int> Tokens { get; } = [];
        public bool Done { get; set; }
        public int Cells => Prompt.Length + MaxTokens;

        /// <summary>
        /// Looks at the last tokens alone: as many as the longest stop has bytes, and some that have no text. A stop that
        /// this misses only ends the answer later; <see cref="Text"/> cuts at it all the same.
        /// </summary>
        public bool EndsInStop(ITextCodec codec)
        {
            var text = codec.Detokenize([.. Tokens.Skip(Tokens.Count - _tail)]);
            return stops.Any(stop => text.Contains(stop, StringComparison.Ordinal));
        }

        /// <summary>Decoded text up to the first occurrence of each stop, in list order.</summary>
        public string Text(ITextCodec codec) =>
            stops.Aggregate(
                codec.Detokenize([.. Tokens]),
                (text, stop) => text.IndexOf(stop, StringComparison.Ordinal) is >= 0 and var at ? text[..at] : text
            );
    }
}
