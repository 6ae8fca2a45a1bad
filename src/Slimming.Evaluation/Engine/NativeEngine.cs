using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Models;

namespace Slimming.Evaluation.Engine;

/// <summary>How libslimming is to run a model.</summary>
public sealed record NativeEngineOptions
{
    public required string Model { get; init; }
    public string? Adapter { get; init; }
    public float Scale { get; init; } = 1;

    /// <summary>Threads; 0 for every core.</summary>
    public int Threads { get; init; }

    /// <summary>One of <see cref="ComputeChoice.Names"/>.</summary>
    public string Compute { get; init; } = "auto";
}

/// <summary>
/// Scores with this project's own forward: the arithmetic of training, not that of the kernels that serve the file in
/// llama.cpp. Tokens are llama.cpp's.
/// </summary>
public sealed class NativeEngine : IModelEngine
{
    private readonly NativeRuntime _runtime;
    private readonly BaseModel _model;
    private readonly NativeAdapter? _adapter;
    private readonly NativeScorer _scorer;

    private NativeEngine(
        NativeRuntime runtime,
        BaseModel model,
        NativeAdapter? adapter,
        LlamaModel vocabulary,
        NativeEngineOptions options
    )
    {
        _runtime = runtime;
        _model = model;
        _adapter = adapter;
        var info = runtime.Info;
        var compute = ComputeChoice.Of(options.Compute, info.Isa, model.File.Tensors);
        _scorer = new NativeScorer(model.Native, adapter, compute);
        Model = vocabulary;
        Codec = new VocabCodec(vocabulary.Vocab);
        Name = $"native {info.Version}";
        Run = new EngineRun(options.Model, options.Adapter, options.Scale)
        {
            Threads = info.Threads,
            BatchTokens = NativeScorer.PassTokens,
            Settings = new Dictionary<string, string>(StringComparer.Ordinal)
            {
                ["compute"] = compute.ToString().ToLowerInvariant(),
            },
            CpuFeatures = info.Isa.ToName(),
        };
    }

    /// <summary>Log-likelihoods alone: it keeps no cache of keys and values to generate from.</summary>
    public static IReadOnlyList<TaskKind> SupportedKinds { get; } = [TaskKind.MultipleChoice, TaskKind.Perplexity];

    public string Name { get; }

    public ITextCodec Codec { get; }

    public int MaxLength => _model.ContextLength;

    public EngineRun Run { get; }

    public IReadOnlyList<TaskKind> Kinds => SupportedKinds;

    public LlamaModel Model { get; }

    /// <exception cref="GgufException">The file is no sound model that the library knows, or the adapter is none of it.</exception>
    public static NativeEngine Open(NativeEngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        NativeRuntime? runtime = null;
        BaseModel? model = null;
        NativeAdapter? adapter = null;
        LlamaModel? vocabulary = null;
        try
        {
            runtime = NativeRuntime.Create(options.Threads);
            model = BaseModel.Open(options.Model, runtime);
            adapter = options.Adapter is { } path
                ? AdapterFile.Read(path, model, forTraining: false, scale: options.Scale)
                : null;
            vocabulary = LlamaModel.Load(options.Model, vocabOnly: true);
            return new NativeEngine(runtime, model, adapter, vocabulary, options);
        }
        catch
        {
            vocabulary?.Dispose();
            adapter?.Dispose();
            model?.Dispose();
            runtime?.Dispose();
            throw;
        }
    }

    public IReadOnlyList<ScoreAnswer> Score(
        IReadOnlyList<ScoreRequest> requests,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(requests);
        return ScoreInput.Answer(requests, MaxLength, pairs => _scorer.Score(pairs, cancellation));
    }

    /// <exception cref="SlimmingException">Always: see <see cref="SupportedKinds"/>.</exception>
    public IReadOnlyList<GenerationAnswer> Generate(
        IReadOnlyList<GenerationRequest> requests,
        CancellationToken cancellation = default
    ) => throw new SlimmingException(ExitCode.Usage, $"engine {Name} scores text and generates none; take libllama");

    public void Dispose()
    {
        _scorer.Dispose();
        _adapter?.Dispose();
        _model.Dispose();
        _runtime.Dispose();
        Model.Dispose();
    }
}
