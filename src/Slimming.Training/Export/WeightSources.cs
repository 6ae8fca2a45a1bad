using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;

namespace Slimming.Training.Export;

/// <summary>A 1-D F32 tensor that the base does not have.</summary>
internal sealed record AddedTensor(string Name, float[] Values);

/// <summary>The weights that a merged file takes from somewhere else than its base's blocks.</summary>
internal interface IWeightSource
{
    /// <summary>False: the base's blocks hold this tensor already.</summary>
    bool Changes(string name);

    /// <summary>Written after the base's own tensors.</summary>
    IReadOnlyList<AddedTensor> Added => [];

    /// <summary>The tensor's new values in f32, row order as in the base.</summary>
    void Read(GgufTensor tensor, Span<float> values);
}

/// <summary>The base as it is.</summary>
internal sealed class UnchangedWeights : IWeightSource
{
    public bool Changes(string name) => false;

    public void Read(GgufTensor tensor, Span<float> values) =>
        throw new InvalidOperationException($"'{tensor.Name}' is not changed");
}

/// <summary>W + scale B A on the dequantized blocks, in f32.</summary>
internal sealed class MergedWeights(NativeAdapter adapter) : IWeightSource
{
    /// <summary>A product with B = 0 or A = 0 changes nothing: those blocks are copied, not quantized again.</summary>
    public bool Changes(string name) => IsNonZero(name + LoraModules.SuffixA) && IsNonZero(name + LoraModules.SuffixB);

    public void Read(GgufTensor tensor, Span<float> values) => adapter.MergeWeight(tensor.Name, values);

    private bool IsNonZero(string name) =>
        adapter.Find(name) is { } trainable && adapter.ValuesOf(trainable).ContainsAnyExcept(0f);
}

/// <summary>The F32 tensors of a full-parameter run.</summary>
internal sealed class TrainedWeights(GgufFile trained, GgufFile model) : IWeightSource
{
    public bool Changes(string name) =>
        trained.Find(name) is { } tensor
        && model.Find(name) is { } original
        && !(tensor.Type == original.Type && TensorCopy.AreEqual(trained, tensor, model, original));

    public void Read(GgufTensor tensor, Span<float> values)
    {
        var source = trained.Find(tensor.Name)!;
        if (source.Type != GgmlType.F32)
        {
            throw new GgufException(trained.Path, $"tensor '{source.Name}'", "f32", GgmlTypes.Name(source.Type));
        }
        trained.Floats(source).CopyTo(values);
    }

    /// <summary>Refuses a trained model of another base.</summary>
    public void CheckBase()
    {
        foreach (var tensor in model.Tensors)
        {
            var found = trained.Find(tensor.Name);
            if (found == null || !found.Shape.SequenceEqual(tensor.Shape))
            {
                throw new GgufException(
                    trained.Path,
                    $"tensor '{tensor.Name}'",
                    $"shape {tensor.ShapeText} as in {model.Path}",
                    found?.ShapeText ?? "nothing"
                );
            }
        }
    }
}
