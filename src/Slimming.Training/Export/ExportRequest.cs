using Slimming.Gguf;

namespace Slimming.Training.Export;

public enum ExportKind
{
    Adapter,
    Merged,
    Peft,
}

/// <summary>What <c>export</c> was asked for. Null is "not given".</summary>
public sealed record ExportRequest
{
    /// <summary>A run folder, an adapter file or a PEFT folder; null: the base alone.</summary>
    public string? Source { get; init; }
    public ExportKind? To { get; init; }

    /// <summary>One of <see cref="TypePlan.Names"/>.</summary>
    public string? Type { get; init; }

    /// <summary>PATTERN=TYPE each, see <see cref="TypeOverride"/>.</summary>
    public IReadOnlyList<string> TensorTypes { get; init; } = [];

    /// <summary>A file of llama-imatrix.</summary>
    public string? Imatrix { get; init; }
    public double? Scale { get; init; }

    /// <summary>The base; a run folder knows its own.</summary>
    public string? Model { get; init; }
    public required string Out { get; init; }
    public bool Force { get; init; }

    /// <summary>0: one per usable core.</summary>
    public int Threads { get; init; }

    /// <summary>Positions of the fixed text on which the finished file is compared.</summary>
    public int CheckedPositions { get; init; } = 256;
}

/// <summary>A tensor whose rows the wanted type cannot divide.</summary>
public sealed record TypeFallback(string Tensor, long RowLength, GgmlType Wanted, GgmlType Used);

/// <param name="Type">As tensors of a merged file are stored.</param>
/// <param name="Tensors">How many are.</param>
public sealed record TypeCount(GgmlType Type, int Tensors);

/// <summary>What an importance matrix was used for.</summary>
/// <param name="Path">The file.</param>
/// <param name="Entries">Weights that it has values for.</param>
/// <param name="Used">Tensors quantized with it.</param>
/// <param name="Without">Tensors quantized in a type that uses one, but without an entry.</param>
public sealed record ImportanceUse(string Path, int Entries, int Used, IReadOnlyList<string> Without);

/// <param name="Path">The file made.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Base">The base it was made from.</param>
/// <param name="Adapted">Tensors whose values changed.</param>
/// <param name="Converted">Tensors that only changed type.</param>
/// <param name="Copied">Tensors copied byte for byte.</param>
/// <param name="Fallbacks">Tensors that took another type.</param>
/// <param name="Verification">The comparison with llama.cpp; null where llama.cpp does not read the format or the native forward does not compute it.</param>
/// <param name="NotCompared">Why a file was loaded in llama.cpp but not compared.</param>
public sealed record ExportResult(
    string Path,
    ExportKind Kind,
    long Bytes,
    string Base,
    int Adapted,
    int Converted,
    int Copied,
    IReadOnlyList<TypeFallback> Fallbacks,
    Verification? Verification,
    string? NotCompared = null
)
{
    /// <summary>Types of a merged file's tensors, the most frequent first.</summary>
    public IReadOnlyList<TypeCount> Types { get; init; } = [];

    /// <summary>Null without <see cref="ExportRequest.Imatrix"/>.</summary>
    public ImportanceUse? Importance { get; init; }

    /// <summary>The chat template in the file is not the base's but the one it was trained with.</summary>
    public bool CarriesTrainedTemplate { get; init; }
}
