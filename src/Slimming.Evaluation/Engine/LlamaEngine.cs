using Slimming.Evaluation.Tasks;
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
public sealed class LlamaEngine : IModelEngine
{
    /// <summary>A shorter header is not worth a sequence of its own.</summary>
    private const int ShortestHeader = 32;

    private readonly LlamaModel _model;
    private readonly LlamaAdapter? _adapter;
    private readonly LlamaEngineOptions _options;
    private readonly LlamaScorer _scorer;
    private readonly GreedyGenerator _generator;

    private LlamaEngine(LlamaModel model, LlamaAdapter? adapter, LlamaEngineOptions options)
    {
        _model = model;
        _adapter = adapter;
        _options = options;
        Codec = new VocabCodec(model.Vocab);
        _scorer = new LlamaScorer(model, NewContext);
        _generator = new GreedyGenerator(model, Codec, NewContext, options.CacheType);
    }

    public string Name => $"libllama {LlamaRuntime.Version}";

    public ITextCodec Codec { get; }

    public int MaxLength => _model.ContextLength;

    /// <summary>What it was opened with.</summary>
    public LlamaEngineOptions Options => _options;

    public EngineRun Run =>
        new(_options.Model, _options.Adapter, _options.Scale)
        {
            Threads = _options.Threads > 0 ? _options.Threads : Environment.ProcessorCount,
            BatchTokens = LlamaScorer.SliceTokens,
            Settings = new Dictionary<string, string>(StringComparer.Ordinal)
            {
                ["cache_type"] = GgmlTypes.Name(_options.CacheType),
                ["flash_attention"] = _options.FlashAttention ? "on" : "off",
            },
            CpuFeatures = LlamaRuntime.SystemInfo,
        };

    public IReadOnlyList<TaskKind> Kinds => Enum.GetValues<TaskKind>();

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
        // One cache at a time.
        _generator.Dispose();
        return ScoreInput.Answer(requests, MaxLength, pairs => _scorer.Score(pairs, cancellation));
    }

    public IReadOnlyList<GenerationAnswer> Generate(
        IReadOnlyList<GenerationRequest> requests,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(requests);
        _scorer.Dispose();
        var answers = _generator.Generate(requests, cancellation);
        MappedFiles.Check();
        return answers;
    }

    public void ShareHeader(IReadOnlyList<int> header)
    {
        ArgumentNullException.ThrowIfNull(header);
        // A header as long as the model's context would leave no request that begins with it.
        int[] tokens = header.Count >= ShortestHeader && header.Count < MaxLength ? [.. header] : [];
        _scorer.Header = tokens;
        _generator.Header = tokens;
    }

    /// <summary>A context of this engine's settings with its adapter set.</summary>
    public LlamaContext NewContext(int cells, int sequences, bool unified)
    {
        var context = LlamaContext.Create(
            _model,
            new LlamaContextOptions
            {
                ContextTokens = cells,
                BatchTokens = LlamaScorer.SliceTokens,
                MicroBatchTokens = LlamaScorer.SliceTokens,
                Sequences = sequences,
                Threads = Run.Threads,
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
        _scorer.Dispose();
        _generator.Dispose();
        _adapter?.Dispose();
        _model.Dispose();
    }
}
