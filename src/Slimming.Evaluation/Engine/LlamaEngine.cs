using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;

namespace Slimming.Evaluation.Engine;

/// <summary>How libllama is to run a model.</summary>
public sealed record LlamaEngineOptions
{
    public required string Model { get; init; }
    public string? Adapter { get; init; }
    public float Scale { get; init; } = 1;

    /// <summary>Threads; 0 for every core.</summary>
    public int Threads { get; init; }
    public GgmlType CacheType { get; init; } = GgmlType.F32;
    public bool FlashAttention { get; init; }
}

/// <summary>Scores and generates with libllama in this process.</summary>
public sealed class LlamaEngine : IScoringEngine
{
    /// <summary>Tokens decoded at once.</summary>
    private const int SliceTokens = 512;

    /// <summary>
    /// Tokens of one pass over unrelated requests: every token of a pass looks at every cache cell of it, so long passes
    /// waste attention; requests that share a prefix may fill a longer one.
    /// </summary>
    private const int PassTokens = 512;
    private const int SharedPassTokens = 2048;
    private const int WorthSharing = 64;
    private const int MaxSequences = 64;

    /// <summary>Bytes of logits kept from one decode.</summary>
    private const long LogitBytes = 96L << 20;

    private readonly LlamaModel _model;
    private readonly LlamaAdapter? _adapter;
    private readonly LlamaEngineOptions _options;
    private LlamaContext? _context;

    private LlamaEngine(LlamaModel model, LlamaAdapter? adapter, LlamaEngineOptions options)
    {
        _model = model;
        _adapter = adapter;
        _options = options;
        Codec = new VocabCodec(model.Vocab);
    }

    public string Name => $"libllama {LlamaRuntime.Version}";

    public ITextCodec Codec { get; }

    public int MaxLength => _model.ContextLength;

    /// <summary>What it was opened with.</summary>
    public LlamaEngineOptions Options => _options;

    /// <summary>The model behind the engine, for its chat template and vocabulary.</summary>
    public LlamaModel Model => _model;

    public static LlamaEngine Open(LlamaEngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        MappedFiles.Guard();
        var model = LlamaModel.Load(options.Model);
        LlamaAdapter? adapter = null;
        try
        {
            adapter = options.Adapter is { } path ? LlamaAdapter.Load(model, path) : null;
            return new LlamaEngine(model, adapter, options);
        }
        catch
        {
            adapter?.Dispose();
            model.Dispose();
            throw;
        }
    }

    public IReadOnlyList<ScoreAnswer> Score(
        IReadOnlyList<ScoreRequest> requests,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(requests);
        var sums = new double[requests.Count];
        var greedy = new bool[requests.Count];
        var truncated = new bool[requests.Count];
        Array.Fill(greedy, true);
        var pass = new TokenTrie();
        for (var i = 0; i < requests.Count; i++)
        {
            var (input, cut) = Input(requests[i]);
            truncated[i] = cut;
            var shared = pass.SharedWith(input);
            var limit = shared >= WorthSharing ? SharedPassTokens : PassTokens;
            if (
                pass.SequenceCount > 0
                && (pass.Entries.Count + input.Length - shared > limit || pass.SequenceCount == MaxSequences)
            )
            {
                Run(pass, sums, greedy, cancellation);
                pass = new TokenTrie();
            }
            pass.Add(i, input, requests[i].Continuation);
        }
        if (pass.SequenceCount > 0)
        {
            Run(pass, sums, greedy, cancellation);
        }
        return [.. sums.Select((sum, i) => new ScoreAnswer(sum, greedy[i], truncated[i]))];
    }

    public IReadOnlyList<GenerationAnswer> Generate(
        IReadOnlyList<GenerationRequest> requests,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(requests);
        var answers = new GreedyGenerator(_model, Codec, NewContext).Generate(requests, cancellation);
        MappedFiles.Check();
        return answers;
    }

    /// <summary>A context of this engine's settings with its adapter set.</summary>
    public LlamaContext NewContext(int cells, int sequences, bool unified)
    {
        var context = LlamaContext.Create(
            _model,
            new LlamaContextOptions
            {
                ContextTokens = cells,
                BatchTokens = SliceTokens,
                MicroBatchTokens = SliceTokens,
                Sequences = sequences,
                Threads = _options.Threads > 0 ? _options.Threads : Environment.ProcessorCount,
                CacheType = _options.CacheType,
                FlashAttention = _options.FlashAttention,
                UnifiedCache = unified,
            }
        );
        if (_adapter is not null)
        {
            context.SetAdapters((_adapter, _options.Scale));
        }
        return context;
    }

    public void Dispose()
    {
        _context?.Dispose();
        _adapter?.Dispose();
        _model.Dispose();
    }

    /// <summary>All tokens but the last, and no more of them than the model takes: the oldest go.</summary>
    private (int[] Input, bool Truncated) Input(ScoreRequest request)
    {
        if (request.Context.Length == 0 || request.Continuation.Length == 0)
        {
            throw new ArgumentException(
                $"a request of {request.Context.Length} context and {request.Continuation.Length} continuation tokens: each needs one or more"
            );
        }
        if (request.Continuation.Length > MaxLength)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"a continuation of {request.Continuation.Length} tokens does not fit the model's context of {MaxLength}"
            );
        }
        int[] input = [.. request.Context, .. request.Continuation.AsSpan(..^1)];
        return input.Length > MaxLength ? (input[^MaxLength..], true) : (input, false);
    }

    private void Run(TokenTrie pass, double[] sums, bool[] greedy, CancellationToken cancellation)
    {
        var context = ContextFor(pass.Entries.Count);
        context.Clear();
        var rows = (int)Math.Max(1, LogitBytes / (4L * _model.Vocab.Count));
        var batch = new LlamaBatch();
        var outputs = new List<(int Index, TokenTrie.Entry Entry)>();
        foreach (var entry in pass.Entries)
        {
            var wanted = entry.Consumers.Count > 0;
            if (batch.Count == SliceTokens || (wanted && outputs.Count == rows))
            {
                Harvest(context, batch, outputs, sums, greedy, cancellation);
            }
            var index = batch.Add(entry.Token, entry.Position, CollectionsMarshal.AsSpan(entry.Sequences), wanted);
            if (wanted)
            {
                outputs.Add((index, entry));
            }
        }
        Harvest(context, batch, outputs, sums, greedy, cancellation);
    }

    private static void Harvest(
        LlamaContext context,
        LlamaBatch batch,
        List<(int Index, TokenTrie.Entry Entry)> outputs,
        double[] sums,
        bool[] greedy,
        CancellationToken cancellation
    )
    {
        context.Decode(batch, cancellation);
        MappedFiles.Check();
        foreach (var (index, entry) in outputs)
        {
            var logits = context.Logits(index);
            var (best, normalizer) = LogSoftmax.Reduce(logits);
            foreach (var (request, target) in entry.Consumers)
            {
                sums[request] += logits[target] - normalizer;
                greedy[request] &= best == target;
            }
        }
        batch.Clear();
        outputs.Clear();
    }

    private LlamaContext ContextFor(int cells)
    {
        if (_context is null || _context.Options.ContextTokens < cells)
        {
            _context?.Dispose();
            _context = null;
            // llama.cpp pads to multiples of 256 itself; growing in such steps keeps the context for more passes.
            _context = NewContext((Math.Max(cells, SharedPassTokens) + 255) / 256 * 256, MaxSequences, unified: true);
        }
        return _context;
    }

    private sealed class VocabCodec(LlamaVocab vocab) : ITextCodec
    {
        public int Bos => vocab.Bos;

        public bool AddsBos => vocab.AddBos;

        public int PrefixToken => vocab.Bos >= 0 ? vocab.Bos : vocab.Eos;

        public int[] Tokenize(string text) => vocab.Tokenize(text, addSpecial: false, parseSpecial: true);

        public string Detokenize(ReadOnlySpan<int> tokens) => vocab.Detokenize(tokens, special: false);

        public bool EndsAnswer(int token) => token == vocab.Eos || token == vocab.Eot;
    }
}
