using Slimming.Gguf;

namespace Slimming.Interop;

/// <param name="Threads">Threads that the kernels use.</param>
/// <param name="Isa">Instruction set in use; SLM_ISA in the environment lowers it.</param>
/// <param name="CpuFeatures">What the processor reports and the operating system has enabled.</param>
/// <param name="CpuName">The processor's own name.</param>
/// <param name="Version">Version of libslimming.</param>
/// <param name="Levels">What the library has kernels for.</param>
/// <param name="OfferedLevels">Those of them that run on this machine.</param>
public sealed record RuntimeInfo(
    int Threads,
    Isa Isa,
    CpuFeatures CpuFeatures,
    string CpuName,
    string Version,
    IReadOnlyList<Isa> Levels,
    IReadOnlyList<Isa> OfferedLevels
);

/// <summary>One check of the library on this machine, with the measured difference and its bar.</summary>
public sealed record SelfCheck(string Name, bool Passed, double Difference, double Tolerance);

/// <summary>A named tensor of the base model.</summary>
/// <param name="Name">GGUF tensor name.</param>
/// <param name="Type">Type of its blocks.</param>
/// <param name="Ne">Sizes in ne order, 1 to 4 of them.</param>
/// <param name="Data">Borrowed; must outlive the model.</param>
/// <param name="ByteCount">Bytes at <paramref name="Data"/>.</param>
public readonly record struct NativeTensor(
    string Name,
    GgmlType Type,
    IReadOnlyList<long> Ne,
    nint Data,
    long ByteCount
);

/// <summary>What a decoder is; see slm_model_params for each field. 0 means "not used" where said there.</summary>
public sealed record ModelParams
{
    public required string Architecture { get; init; }
    public required int NLayer { get; init; }
    public required int NEmbd { get; init; }
    public required int NHead { get; init; }
    public required int NHeadKv { get; init; }
    public required int NEmbdHead { get; init; }
    public required int NFf { get; init; }
    public required int NVocab { get; init; }
    public required int NRot { get; init; }
    public RopeType RopeType { get; init; }
    public Activation Activation { get; init; }

    /// <summary>Keys a query sees, itself included; 0: all.</summary>
    public int SlidingWindow { get; init; }

    /// <summary>Layer il is full where il % n == n-1; 0: every layer windowed when there is a window.</summary>
    public int SlidingPattern { get; init; }
    public required float NormRmsEpsilon { get; init; }
    public required float RopeFreqBase { get; init; }

    /// <summary>Base of windowed layers; 0: <see cref="RopeFreqBase"/>.</summary>
    public float RopeFreqBaseLocal { get; init; }

    /// <summary>Angles of full layers are multiplied by it.</summary>
    public float RopeFreqScale { get; init; } = 1;
    public float EmbeddingScale { get; init; } = 1;
    public required float AttentionScale { get; init; }
    public float AttnLogitSoftcap { get; init; }
    public float FinalLogitSoftcap { get; init; }
}

/// <summary>A method's trainables. LoRA: y = W x + Scale * B (A x).</summary>
public sealed record AdapterParams
{
    public required TrainMethod Method { get; init; }
    public LoraTargets Targets { get; init; }
    public int Rank { get; init; }

    /// <summary>alpha/r, or alpha/sqrt(r) for rsLoRA.</summary>
    public float Scale { get; init; } = 1;

    /// <summary>Share of inputs dropped, in [0, 1).</summary>
    public float Dropout { get; init; }

    /// <summary>Of lora_a's start; lora_b starts at zero.</summary>
    public ulong Seed { get; init; }
}

/// <summary>One trainable tensor: a slice of every block.</summary>
/// <param name="Name">LoRA: base tensor + .lora_a / .lora_b; full: the base tensor's name.</param>
/// <param name="Ne">ne order: Ne[0] is the row length.</param>
/// <param name="IsNormOrBias">Weight decay leaves it alone unless asked.</param>
/// <param name="Offset">In values, into every block.</param>
/// <param name="Count">Values.</param>
public sealed record Trainable(string Name, IReadOnlyList<long> Ne, bool IsNormOrBias, long Offset, long Count);

public sealed record ContextParams
{
    /// <summary>Most rows computed together, longer single sequences excepted.</summary>
    public required int MicroBatchTokens { get; init; }

    /// <summary>The longest sequence that will come.</summary>
    public required int MaxSequenceTokens { get; init; }
    public ComputeMode Compute { get; init; } = ComputeMode.F32;

    /// <summary>False: only evaluate and logits; no gradients, moments or kept activations.</summary>
    public bool Training { get; init; }

    /// <summary>Rows of [rows, n_vocab] made at once; 0: 256.</summary>
    public int LogitRows { get; init; }
    public ulong DropoutSeed { get; init; }
}

/// <summary>Bytes a context and its adapter allocate; base weights stay in the caller's mapping.</summary>
/// <param name="WeightBytes">The caller's tensors.</param>
/// <param name="ParameterBytes">Trainable parameters, f32.</param>
/// <param name="OptimizerBytes">Gradients and two moments, f32.</param>
/// <param name="ActivationBytes">Kept activations and work space of the largest micro-batch.</param>
/// <param name="LogitBytes">What rows of logits add: they lie over work space that is idle meanwhile.</param>
/// <param name="PackBytes">Unpacked weight panels, all threads.</param>
/// <param name="TotalBytes">All but <paramref name="WeightBytes"/>.</param>
/// <param name="FillTokens">Micro-batches are best filled up to this many tokens: nothing is recomputed there.</param>
/// <param name="FlopsPerToken">Forward and backward, without attention scores.</param>
public sealed record Plan(
    long WeightBytes,
    long ParameterBytes,
    long OptimizerBytes,
    long ActivationBytes,
    long LogitBytes,
    long PackBytes,
    long TotalBytes,
    int FillTokens,
    double FlopsPerToken
);

/// <summary>AdamW and clipping of one step.</summary>
public readonly record struct StepParams
{
    public StepParams() { }

    /// <summary>AdamW's t, from 1.</summary>
    public required long Step { get; init; }

    /// <summary>Targets of the whole accumulation window; gradients are divided by it once.</summary>
    public required long TargetCount { get; init; }
    public required double LearningRate { get; init; }
    public double Beta1 { get; init; } = 0.9;
    public double Beta2 { get; init; } = 0.999;
    public double Epsilon { get; init; } = 1e-8;
    public double WeightDecay { get; init; }

    /// <summary>0 or less: no clipping.</summary>
    public double MaxGradNorm { get; init; }
    public bool DecayNorms { get; init; }
}

/// <param name="GradNorm">L2 over all trainables, after division, before clipping.</param>
/// <param name="Clip">Factor applied, at most 1.</param>
public readonly record struct StepResult(double GradNorm, double Clip);

/// <summary>Sums of one phase since the context was made.</summary>
/// <param name="Phase">Which.</param>
/// <param name="Time">Wall time, without other phases that ran inside it.</param>
/// <param name="Bytes">Weights and values that products, attention and the optimizer read or wrote.</param>
/// <param name="Calls">How often it was entered.</param>
public readonly record struct PhaseTotal(NativePhase Phase, TimeSpan Time, long Bytes, long Calls);

/// <summary>One stretch of a phase; stretches lie inside each other.</summary>
/// <param name="Phase">Which.</param>
/// <param name="Layer">-1: none.</param>
/// <param name="BeginNs">Monotonic clock, in nanoseconds.</param>
/// <param name="EndNs">The same.</param>
public readonly record struct TraceEvent(NativePhase Phase, int Layer, long BeginNs, long EndNs);
