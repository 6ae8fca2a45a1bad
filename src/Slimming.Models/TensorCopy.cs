using Slimming.Gguf;
using Slimming.Interop;

namespace Slimming.Models;

/// <summary>Bytes of tensors on their way into a file, in pieces that need no second copy of a large tensor.</summary>
internal static class TensorCopy
{
    private const int PieceBytes = 16 << 20;

    public static void Write(GgufWriter writer, GgufFile file, GgufTensor tensor)
    {
        for (long at = 0; at < tensor.ByteCount; at += PieceBytes)
        {
            writer.Write(tensor.Name, file.Slice(tensor, at, Math.Min(PieceBytes, tensor.ByteCount - at)));
        }
    }

    /// <summary>Two tensors of one type and shape hold the same bytes.</summary>
    public static bool AreEqual(GgufFile file, GgufTensor tensor, GgufFile otherFile, GgufTensor other)
    {
        if (tensor.ByteCount != other.ByteCount)
        {
            return false;
        }
        for (long at = 0; at < tensor.ByteCount; at += PieceBytes)
        {
            var count = Math.Min(PieceBytes, tensor.ByteCount - at);
            if (!file.Slice(tensor, at, count).SequenceEqual(otherFile.Slice(other, at, count)))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>Copies F32 tensors into the trainables of the same names and shapes.</summary>
    public static void Read(GgufFile file, NativeAdapter adapter)
    {
        foreach (var trainable in adapter.Trainables)
        {
            var tensor =
                file.Find(trainable.Name)
                ?? throw new GgufException(file.Path, $"tensor '{trainable.Name}'", "the file does not have it");
            if (tensor.Type != GgmlType.F32 || !tensor.Shape.SequenceEqual(trainable.Ne))
            {
                throw new GgufException(
                    file.Path,
                    $"tensor '{trainable.Name}'",
                    $"f32 [{string.Join(", ", trainable.Ne)}]",
                    $"{GgmlTypes.Name(tensor.Type)} {tensor.ShapeText}"
                );
            }
            file.Floats(tensor).CopyTo(adapter.ValuesOf(trainable));
        }
    }
}
