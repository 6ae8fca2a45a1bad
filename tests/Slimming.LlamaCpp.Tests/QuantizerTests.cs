using System.Runtime.InteropServices;
using Slimming.Gguf;

namespace Slimming.LlamaCpp.Tests;

public sealed class QuantizerTests
{
    [Fact]
    public void F32IsCopied()
    {
        float[] rows = [1, 2, 3, -4, 5, 6];
        var bytes = new byte[24];
        Quantizer.Quantize(GgmlType.F32, rows, 3, bytes);
        MemoryMarshal.Cast<byte, float>(bytes).ToArray().ShouldBe(rows);
    }

    [Fact]
    public void Q8BlockHasTheLayoutOfTheFormat()
    {
        // 32 values, largest magnitude 127: scale 1 (f16 0x3C00), then the values themselves.
        var row = Enumerable.Range(0, 32).Select(i => i == 31 ? 127f : i - 10f).ToArray();
        var bytes = new byte[34];
        Quantizer.Quantize(GgmlType.Q8_0, row, 32, bytes);
        BitConverter.ToUInt16(bytes, 0).ShouldBe((ushort)0x3C00);
        bytes.Skip(2).Select(b => (float)(sbyte)b).ToArray().ShouldBe(row);
    }

    [Fact]
    public void WrongSizesAndValuesAreNamed()
    {
        Should
            .Throw<ArgumentException>(() => Quantizer.Quantize(GgmlType.Q4_0, new float[33], 33, new byte[18]))
            .Message.ShouldContain("33");
        Should
            .Throw<ArgumentException>(() => Quantizer.Quantize(GgmlType.Q4_0, new float[32], 32, new byte[17]))
            .Message.ShouldContain("17");
        float[] bad = [.. new float[31], float.NaN];
        Should
            .Throw<ArgumentException>(() => Quantizer.Quantize(GgmlType.Q4_0, bad, 32, new byte[18]))
            .Message.ShouldContain("31");
        Should
            .Throw<ArgumentException>(() => Quantizer.Quantize(GgmlType.IQ2_XXS, new float[256], 256, new byte[66]))
            .Message.ShouldContain("iq2_xxs needs an importance matrix");
        Should
            .Throw<SlimmingException>(() => Quantizer.Quantize(GgmlType.Q8_K, new float[256], 256, new byte[292]))
            .Message.ShouldContain("q8_k cannot be written");
    }
}
