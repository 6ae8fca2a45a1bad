using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;

namespace Slimming.Training.Tests.Runs;

/// <summary>What --compute auto takes.</summary>
public sealed class ComputeChoiceTests
{
    [Theory]
    [InlineData(Isa.Avx512Bf16, "q4_0", ComputeMode.Bf16)]
    [InlineData(Isa.Avx512Bf16, "q6_k", ComputeMode.Bf16)]
    [InlineData(Isa.Avx512Bf16, "iq1_s", ComputeMode.F32)]
    [InlineData(Isa.AmxBf16, "q4_0", ComputeMode.Bf16)]
    [InlineData(Isa.AmxBf16, "iq1_s", ComputeMode.F32)]
    [InlineData(Isa.Neon, "q4_0", ComputeMode.F32)]
    public void A_measured_row_decides_and_without_one_it_is_f32(Isa isa, string type, ComputeMode expected) =>
        ComputeChoice.Fastest(isa, type).ShouldBe(expected);

    [Fact]
    public void A_named_mode_is_taken()
    {
        List<GgufTensor> tensors = [Tensor("blk.0.attn_q.weight", GgmlType.Q4_0, 64)];
        ComputeChoice.Of("auto", Isa.Avx512Bf16, tensors).ShouldBe(ComputeMode.Bf16);
        ComputeChoice.Of("f32", Isa.Avx512Bf16, tensors).ShouldBe(ComputeMode.F32);
        ComputeChoice.Of("int8", Isa.Scalar, tensors).ShouldBe(ComputeMode.Int8);
    }

    [Fact]
    public void The_type_of_most_layer_values_counts()
    {
        List<GgufTensor> tensors =
        [
            Tensor("token_embd.weight", GgmlType.Q8_0, 4096),
            Tensor("blk.0.attn_norm.weight", GgmlType.F32, 1),
            Tensor("blk.0.attn_q.weight", GgmlType.Q4_K, 64),
            Tensor("blk.0.ffn_down.weight", GgmlType.Q6_K, 96),
            Tensor("blk.1.attn_q.weight", GgmlType.Q4_K, 64),
        ];
        ComputeChoice.MainType(tensors).ShouldBe("q4_k");
        ComputeChoice.MainType([]).ShouldBe("f32");
    }

    private static GgufTensor Tensor(string name, GgmlType type, long rows) =>
        new(name, type, rows == 1 ? [256] : [256, rows], 0, 0, 256 * rows);
}
