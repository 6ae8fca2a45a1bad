using System.Runtime.InteropServices;
using Slimming.Gguf;

namespace Slimming.Evaluation.Tests;

/// <summary>
/// Writes an F32 copy of a Q4_1/Q8_0 file: with it llama.cpp quantizes no activations and reference values hold tightly.
/// Block layouts: Q4_1 is f16 d, f16 m, 16 bytes of nibbles (low half first), value d*q + m; Q8_0 is f16 d, 32 int8.
/// </summary>
internal static class F32Copy
{
    private const int Block = 32;

    public static void Write(string source, string target)
    {
        using var file = GgufFile.Open(source);
        var metadata = file.Metadata.Clone();
        metadata.Set("general.file_type", GgufValue.Of(0u));
        using var writer = new GgufWriter(target, metadata);
        foreach (var tensor in file.Tensors)
        {
            writer.AddTensor(tensor.Name, GgmlType.F32, tensor.Shape);
        }
        foreach (var tensor in file.Tensors)
        {
            var values = new float[tensor.ValueCount];
            Dequantize(tensor.Type, file.Data(tensor), values);
            writer.Write(tensor.Name, MemoryMarshal.AsBytes(values.AsSpan()));
        }
        writer.Complete();
    }

    private static void Dequantize(GgmlType type, ReadOnlySpan<byte> bytes, Span<float> values)
    {
        switch (type)
        {
            case GgmlType.F32:
                MemoryMarshal.Cast<byte, float>(bytes).CopyTo(values);
                break;
            case GgmlType.Q8_0:
                for (var b = 0; b < values.Length / Block; b++)
                {
                    var block = bytes.Slice(b * 34, 34);
                    var d = (float)BitConverter.ToHalf(block);
                    for (var i = 0; i < Block; i++)
                    {
                        values[(b * Block) + i] = d * (sbyte)block[2 + i];
                    }
                }
                break;
            case GgmlType.Q4_1:
                for (var b = 0; b < values.Length / Block; b++)
                {
                    var block = bytes.Slice(b * 20, 20);
                    var d = (float)BitConverter.ToHalf(block);
                    var m = (float)BitConverter.ToHalf(block[2..]);
                    for (var i = 0; i < Block / 2; i++)
                    {
                        values[(b * Block) + i] = (d * (block[4 + i] & 15)) + m;
                        values[(b * Block) + i + 16] = (d * (block[4 + i] >> 4)) + m;
                    }
                }
                break;
            default:
                throw new NotSupportedException($"{type}");
        }
    }
}
