using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;
using Slimming.Shared;
using Slimming.TestSupport;

namespace Slimming.Training.Tests.Models;

public class ModelConfigTests
{
    private static ModelParams Read(string path)
    {
        using var file = GgufFile.Open(path);
        return ModelConfig.Read(file);
    }

    [Fact]
    public void Llama_keys_become_parameters_with_their_defaults()
    {
        var p = Read(new TinyGguf().Write());
        (p.NLayer, p.NEmbd, p.NHead, p.NHeadKv, p.NEmbdHead, p.NRot).ShouldBe((2, 64, 4, 2, 16, 16));
        (p.NFf, p.NVocab).ShouldBe((96, 48));
        (p.RopeType, p.RopeFreqBase, p.RopeFreqScale).ShouldBe((RopeType.Pairs, 10_000f, 1f));
        (p.Activation, p.EmbeddingScale, p.AttentionScale).ShouldBe((Activation.Silu, 1f, 0.25f));
        (p.SlidingWindow, p.AttnLogitSoftcap, p.FinalLogitSoftcap).ShouldBe((0, 0f, 0f));
    }

    [Fact]
    public void Linear_rope_scaling_divides_by_its_factor()
    {
        var file = new TinyGguf()
            .Set("llama.rope.scaling.type", GgufValue.Of("linear"))
            .Set("llama.rope.scaling.factor", GgufValue.Of(4f));
        Read(file.Write()).RopeFreqScale.ShouldBe(0.25f);
        Read(file.Set("llama.rope.scaling.type", GgufValue.Of("none")).Write()).RopeFreqScale.ShouldBe(1f);
    }

    public static TheoryData<string, string[]> Wrong() =>
        new()
        {
            { "architecture", ["'general.architecture'", "llama, gemma, gemma2, gemma3, qwen2, qwen3", "'mamba'"] },
            { "adapter", ["'general.type'", "'adapter'"] },
            { "no layers", ["'llama.block_count'", "does not have it"] },
            { "layers as text", ["'llama.block_count'", "an integer", "String two"] },
            { "zero heads", ["'llama.attention.head_count'", "found 0"] },
            { "heads", ["'llama.attention.head_count_kv'", "divisor of head_count 4", "found 3"] },
            { "experts", ["'llama.expert_count'", "found 8"] },
            { "yarn", ["'llama.rope.scaling.type'", "'yarn'"] },
            { "attention factor", ["'llama.rope.scaling.attn_factor'", "found 2"] },
            { "not causal", ["'llama.attention.causal'"] },
            { "epsilon", ["'llama.attention.layer_norm_rms_epsilon'", "above 0"] },
            { "missing tensor", ["'blk.1.ffn_up.weight'", "does not have it"] },
            { "shape", ["'blk.0.attn_k.weight'", "shape [64, 32]", "found [64, 64]"] },
            { "norm type", ["'output_norm.weight'", "out of f32", "found f16"] },
            { "weight type", ["'blk.0.attn_k.weight'", "q4_0", "found i8"] },
            { "rope_freqs", ["'rope_freqs.weight'", "[8]", "[16]"] },
        };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void What_does_not_fit_is_named(string what, string[] words)
    {
        var file = new TinyGguf();
        _ = what switch
        {
            "architecture" => file.Set("general.architecture", GgufValue.Of("mamba")),
            "adapter" => file.Set("general.type", GgufValue.Of("adapter")),
            "no layers" => RemoveKey(file, "llama.block_count"),
            "layers as text" => file.Set("llama.block_count", GgufValue.Of("two")),
            "zero heads" => file.Set("llama.attention.head_count", GgufValue.Of(0u)),
            "heads" => file.Set("llama.attention.head_count_kv", GgufValue.Of(3u)),
            "experts" => file.Set("llama.expert_count", GgufValue.Of(8u)),
            "yarn" => file.Set("llama.rope.scaling.type", GgufValue.Of("yarn")),
            "attention factor" => file.Set("llama.rope.scaling.attn_factor", GgufValue.Of(2f)),
            "not causal" => file.Set("llama.attention.causal", GgufValue.Of(false)),
            "epsilon" => file.Set("llama.attention.layer_norm_rms_epsilon", GgufValue.Of(0f)),
            "missing tensor" => file.Remove("blk.1.ffn_up.weight"),
            "shape" => file.Remove("blk.0.attn_k.weight").Add("blk.0.attn_k.weight", GgmlType.F32, 64, 64),
            "norm type" => file.Remove("output_norm.weight").Add("output_norm.weight", GgmlType.F16, 64),
            "weight type" => IntegerWeight(file),
            _ => file.Add("rope_freqs.weight", GgmlType.F32, 16),
        };
        var path = file.Write();
        var error = Should.Throw<GgufException>(() => Read(path));
        error.Message.ShouldStartWith(path);
        foreach (var word in words)
        {
            error.Message.ShouldContain(word);
        }
    }

    private static TinyGguf RemoveKey(TinyGguf file, string key)
    {
        file.Metadata.Remove(key);
        return file;
    }

    private static TinyGguf IntegerWeight(TinyGguf file)
    {
        file.Remove("blk.0.attn_k.weight");
        file.Tensors.Add(("blk.0.attn_k.weight", GgmlType.I8, [64, 32], new byte[64 * 32]));
        return file;
    }

    [Theory]
    [InlineData("llama", RopeType.Pairs, 16, 0, 0f)]
    [InlineData("llama3", RopeType.Pairs, 32, 0, 0f)]
    [InlineData("mistral", RopeType.Pairs, 32, 0, 0f)]
    [InlineData("gemma", RopeType.Neox, 32, 0, 0f)]
    [InlineData("gemma2", RopeType.Neox, 32, 12, 4f)]
    [InlineData("gemma3", RopeType.Neox, 32, 12, 0f)]
    [InlineData("gemma3-linear", RopeType.Neox, 32, 9, 0f)]
    [InlineData("qwen2", RopeType.Neox, 16, 0, 0f)]
    [InlineData("qwen3", RopeType.Neox, 32, 0, 0f)]
    public void Reference_models_read_as_their_readme_says(
        string folder,
        RopeType rope,
        int headSize,
        int window,
        float attentionCap
    )
    {
        foreach (var kind in new[] { "f32", "q8_0", "q4_0" })
        {
            var p = Read(SharedFiles.Require($"fixtures/arch/{folder}/model-{kind}.gguf"));
            (p.RopeType, p.NEmbdHead, p.SlidingWindow, p.AttnLogitSoftcap).ShouldBe(
                (rope, headSize, window, attentionCap)
            );
            p.EmbeddingScale.ShouldBe(folder.StartsWith("gemma", StringComparison.Ordinal) ? 8f : 1f);
            p.RopeFreqScale.ShouldBe(folder == "gemma3-linear" ? 0.125f : 1f);
            p.RopeFreqBaseLocal.ShouldBe(folder.StartsWith("gemma3", StringComparison.Ordinal) ? 10_000f : 0f);
        }
    }

    [Fact]
    public void A_model_stays_mapped_until_its_last_child_is_gone()
    {
        using var runtime = NativeRuntime.Create(1);
        var model = BaseModel.Open(new TinyGguf().Write(), runtime);
        model.IsTied.ShouldBeTrue();
        model.ChatTemplateSha256.ShouldBeNull();
        model.Sha256.ShouldBe(Durable.Sha256(model.File.Path));
        using var adapter = new NativeAdapter(
            model.Native,
            new AdapterParams
            {
                Method = TrainMethod.Lora,
                Targets = LoraTargets.AttnQ,
                Rank = 2,
            }
        );
        model.Dispose();
        model.File.Data(model.File.Tensors[0]).Length.ShouldBeGreaterThan(0);
        adapter.MergeWeight("blk.0.attn_q.weight", new float[64 * 64]);
        adapter.Dispose();
        Should.Throw<ObjectDisposedException>(() => model.File.Data(model.File.Tensors[0]).Length);
    }

    [Fact]
    public void A_tensor_without_a_place_in_the_decoder_is_refused_with_file_and_name()
    {
        using var runtime = NativeRuntime.Create(1);
        var path = new TinyGguf().Add("blk.0.attn_output.bias", GgmlType.F32, 64).Write();
        var error = Should.Throw<GgufException>(() => BaseModel.Open(path, runtime));
        error.Message.ShouldStartWith(path);
        error.Message.ShouldContain("blk.0.attn_output.bias");
    }
}
