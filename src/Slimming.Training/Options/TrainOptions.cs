using System.Text.Json;
using System.Text.Json.Serialization;

namespace Slimming.Training;

/// <summary>
/// The resolved options of one run, one property for each option of <see cref="TrainOptionTable"/>.
/// <see cref="TrainOptionsReader"/> makes it; <c>run.json</c> stores it under the option names.
/// </summary>
public sealed record TrainOptions
{
    public required string Model { get; init; }
    public required IReadOnlyList<string> Data { get; init; }
    public string? Where { get; init; }
    public int? Sample { get; init; }
    public IReadOnlyList<string> EvalData { get; init; } = [];
    public double? EvalFraction { get; init; }
    public required string Out { get; init; }
    public string? Config { get; init; }
    public string Method { get; init; } = "lora";
    public int Rank { get; init; } = 16;
    public double Alpha { get; init; } = 16;
    public bool Rslora { get; init; }
    public double Dropout { get; init; }

    /// <summary>Names out of <see cref="TargetNames"/>, in that order.</summary>
    public IReadOnlyList<string> Targets { get; init; } = TargetNames;
    public string? InitAdapter { get; init; }

    /// <summary>Null when <see cref="Steps"/> is given; 1 when neither is.</summary>
    public double? Epochs
    {
        get => Steps is null ? field ?? 1 : null;
        init;
    }
    public int? Steps { get; init; }
    public int BatchSize { get; init; } = 4;
    public int Accumulation { get; init; } = 1;
    public int MaxLength { get; init; } = 1024;
    public string Overlong { get; init; } = "truncate";
    public bool Packing { get; init; }

    /// <summary>Peak. When not set: 2e-4, with method full 2e-5.</summary>
    public double LearningRate
    {
        get => _learningRate ?? (IsFull ? 2e-5 : 2e-4);
        init => _learningRate = value;
    }
    private readonly double? _learningRate;
    public string Schedule { get; init; } = "linear";
    public int WarmupSteps { get; init; }
    public double WeightDecay { get; init; }
    public bool DecayNorms { get; init; }
    public double MaxGradNorm { get; init; } = 1;
    public double AdamBeta1 { get; init; } = 0.9;
    public double AdamBeta2 { get; init; } = 0.999;
    public double AdamEpsilon { get; init; } = 1e-8;
    public bool Shuffle { get; init; } = true;
    public int Seed { get; init; } = 42;
    public string LossOn { get; init; } = "answer";
    public string Template { get; init; } = "auto";
    public string Compute { get; init; } = "auto";
    public int Threads { get; init; }

    /// <summary>Bytes, or null for no limit.</summary>
    public long? Memory { get; init; }
    public int MicroBatchTokens { get; init; } = 512;
    public int CheckpointEvery { get; init; } = 100;
    public int Keep { get; init; } = 2;
    public bool Resume { get; init; }
    public int EvalEvery { get; init; }
    public int Patience { get; init; }
    public string OnNonfinite { get; init; } = "stop";
    public bool Profile { get; init; }
    public bool Force { get; init; }

    /// <summary>When rows are read as they are needed.</summary>
    internal Data.StreamLimits Limits { get; init; } = new();

    /// <summary>What the run must fit into.</summary>
    internal Func<MachineMemory> Machine { get; init; } = MachineMemory.Read;

    /// <summary>Names that a flag or the YAML file set.</summary>
    [JsonIgnore]
    public IReadOnlySet<string> Given { get; init; } = new HashSet<string>();

    /// <summary>The linears of a layer, as <c>--targets</c> names them.</summary>
    public static IReadOnlyList<string> TargetNames { get; } = ["q", "k", "v", "o", "gate", "up", "down"];

    [JsonIgnore]
    public bool IsFull => Method == "full";

    /// <summary>Factor on B A x: alpha / r, with rsLoRA alpha / sqrt(r).</summary>
    [JsonIgnore]
    public double Scale => Rslora ? Alpha / Math.Sqrt(Rank) : Alpha / Rank;

    /// <summary>Samples (rows with packing) of one step.</summary>
    [JsonIgnore]
    public int StepSize => BatchSize * Accumulation;

    /// <summary>How the record is stored: option names as keys.</summary>
    internal static JsonSerializerOptions JsonOptions { get; } =
        new()
        {
            WriteIndented = true,
            PropertyNamingPolicy = JsonNamingPolicy.KebabCaseLower,
            RespectNullableAnnotations = true,
            Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        };
}
