using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;
using Slimming.TestSupport;
using Slimming.Training.Export;
using Slimming.Training.Tests.Models;

namespace Slimming.Training.Tests.Export;

public sealed class AdapterFileTests : IDisposable
{
    private readonly NativeRuntime _runtime = NativeRuntime.Create(1);
    private readonly string _folder = TinyGguf.NewFolder();
    private readonly BaseModel _model;

    public AdapterFileTests() => _model = BaseModel.Open(new TinyGguf().Write(), _runtime);

    public void Dispose()
    {
        _model.Dispose();
        _runtime.Dispose();
    }

    private string At(string name) => Path.Combine(_folder, name);

    /// <summary>An adapter file whose tensors and keys a test chooses; F32 values of 0.01.</summary>
    private string Custom(Action<GgufMetadata>? change, params (string Name, long[] Shape, float Value)[] tensors)
    {
        var metadata = new GgufMetadata("custom");
        metadata.Set("general.type", GgufValue.Of("adapter"));
        metadata.Set("general.architecture", GgufValue.Of("llama"));
        metadata.Set("adapter.type", GgufValue.Of("lora"));
        metadata.Set("adapter.lora.alpha", GgufValue.Of(8f));
        change?.Invoke(metadata);
        var path = At($"{Guid.NewGuid():n}.gguf");
        using var writer = new GgufWriter(path, metadata);
        foreach (var (name, shape, _) in tensors)
        {
            writer.AddTensor(name, GgmlType.F32, shape);
        }
        foreach (var (name, shape, value) in tensors)
        {
            var values = new float[shape[0] * shape[1]];
            Array.Fill(values, value);
            writer.Write(name, MemoryMarshal.AsBytes<float>(values));
        }
        writer.Complete();
        return path;
    }

    private static (string, long[], float)[] Pair(
        string name,
        long input,
        long output,
        long rank,
        float value = 0.01f
    ) => [(name + ".lora_a", [input, rank], value), (name + ".lora_b", [rank, output], value)];

    [Fact]
    public void A_written_adapter_reads_back_with_equal_values_scale_and_logits()
    {
        using var adapter = ExportTestModels.RandomAdapter(
            _model,
            rank: 3,
            scale: 1.7f,
            LoraTargets.AttnQ | LoraTargets.FfnDown
        );
        AdapterFile.Write(At("a.gguf"), _model, adapter);
        var info = AdapterFile.Describe(At("a.gguf"));
        (info.Architecture, info.Rank, info.Targets, info.HasOneRank).ShouldBe(
            ("llama", 3, LoraTargets.AttnQ | LoraTargets.FfnDown, true)
        );
        info.Scale.ShouldBe(1.7f, 2e-7f);
        info.BaseSha256.ShouldBe(_model.Sha256);
        using var read = AdapterFile.Read(At("a.gguf"), _model);
        read.Parameters.SequenceEqual(adapter.Parameters).ShouldBeTrue();
        ExportTestModels
            .MaxDifference(ExportTestModels.Logits(_model, read), ExportTestModels.Logits(_model, adapter))
            .ShouldBeLessThan(1e-6);
    }

    [Fact]
    public void Equal_adapters_give_equal_bytes_without_path_or_time()
    {
        using var adapter = ExportTestModels.RandomAdapter(_model);
        AdapterFile.Write(At("a.gguf"), _model, adapter);
        Thread.Sleep(20);
        AdapterFile.Write(At("b.gguf"), _model, adapter);
        var bytes = File.ReadAllBytes(At("a.gguf"));
        bytes.ShouldBe(File.ReadAllBytes(At("b.gguf")));
        System.Text.Encoding.Latin1.GetString(bytes).ShouldNotContain(_folder);
    }

    [Fact]
    public void Alpha_is_scale_times_rank_so_that_rslora_needs_no_key_of_its_own()
    {
        using var adapter = ExportTestModels.RandomAdapter(_model, rank: 8, scale: 16 / MathF.Sqrt(8));
        AdapterFile.Write(At("a.gguf"), _model, adapter);
        AdapterFile.Describe(At("a.gguf")).Alpha.ShouldBe(45.2548f, 1e-4f);
    }

    [Fact]
    public void The_keys_are_those_that_llama_cpp_reads()
    {
        using var adapter = ExportTestModels.RandomAdapter(_model);
        AdapterFile.Write(At("a.gguf"), _model, adapter, templateSha256: "abc");
        using var file = GgufFile.Open(At("a.gguf"));
        file.Metadata.Select(p => p.Key)
            .ShouldBe([
                "general.type",
                "general.architecture",
                "adapter.type",
                "adapter.lora.alpha",
                "slimming.base.sha256",
                "slimming.chat_template.sha256",
            ]);
        file.Metadata.GetString("slimming.chat_template.sha256").ShouldBe("abc");
        file.Metadata.TryGet("adapter.lora.alpha", out var alpha).ShouldBeTrue();
        alpha.Type.ShouldBe(GgufValueType.Float32);
        file.Find("blk.1.ffn_down.weight.lora_a")!.Shape.ShouldBe([96L, 4]);
        file.Find("blk.1.ffn_down.weight.lora_b")!.Shape.ShouldBe([4L, 64]);
    }

    [Fact]
    public void A_checkpoint_loads_into_an_adapter_of_its_shape_only()
    {
        using var adapter = ExportTestModels.RandomAdapter(_model, rank: 4);
        AdapterFile.Write(At("a.gguf"), _model, adapter);
        using var same = ExportTestModels.RandomAdapter(_model, rank: 4, size: 1);
        AdapterFile.Load(At("a.gguf"), same);
        same.Parameters.SequenceEqual(adapter.Parameters).ShouldBeTrue();
        using var other = ExportTestModels.RandomAdapter(_model, rank: 5);
        Should.Throw<GgufException>(() => AdapterFile.Load(At("a.gguf"), other)).Message.ShouldContain(", 5]");
    }

    [Fact]
    public void An_adapter_of_another_base_is_refused()
    {
        using var adapter = ExportTestModels.RandomAdapter(_model);
        AdapterFile.Write(At("a.gguf"), _model, adapter);
        using var other = BaseModel.Open(new TinyGguf(seed: 2).Write(), _runtime);
        var error = Should.Throw<GgufException>(() => AdapterFile.Read(At("a.gguf"), other));
        error.Message.ShouldContain(other.Sha256);
        error.Message.ShouldContain(_model.Sha256);
        error.Code.ShouldBe(ExitCode.Usage);
    }

    [Fact]
    public void Files_that_are_no_adapter_of_this_base_are_named()
    {
        var q = Pair("blk.0.attn_q.weight", 64, 64, 2);
        Refused(Custom(m => m.Set("general.architecture", GgufValue.Of("qwen2")), q), "'llama'", "'qwen2'");
        Refused(Custom(m => m.Set("general.type", GgufValue.Of("model")), q), "'general.type'", "'adapter'");
        Refused(Custom(m => m.Set("adapter.type", GgufValue.Of("ia3")), q), "'adapter.type'", "'ia3'");
        Refused(Custom(m => m.Remove("adapter.lora.alpha"), q), "'adapter.lora.alpha'");
        Refused(Custom(m => m.Set("adapter.lora.alpha", GgufValue.Of(float.NaN)), q), "finite", "NaN");
        Refused(Custom(null, [q[0]]), "blk.0.attn_q.weight.lora_b");
        Refused(Custom(null, [.. q, ("blk.0.attn_q.weight.lora_e", [2, 1], 1f)]), "lora_e");
        Refused(Custom(null, Pair("token_embd.weight", 64, 48, 2)), "token_embd.weight.lora_a");
        Refused(Custom(null, Pair("blk.7.attn_q.weight", 64, 64, 2)), "'blk.7.attn_q.weight'", "another base");
        Refused(Custom(null, Pair("blk.0.attn_q.weight", 64, 65, 2)), "lora_b [r, 64]", "[2, 65]");
        Refused(Custom(null, [q[0], (q[1].Item1, [3, 64], 1f)]), "rank 2", "found 3");
        Refused(Custom(null, Pair("blk.0.attn_q.weight", 64, 64, 2, float.PositiveInfinity)), "value 0", "finite");
        Refused(Custom(null), "lora_a and lora_b", "none");
    }

    private void Refused(string path, params string[] words)
    {
        var error = Should.Throw<GgufException>(() => AdapterFile.Read(path, _model, forTraining: false));
        error.Message.ShouldStartWith(path);
        foreach (var word in words)
        {
            error.Message.ShouldContain(word);
        }
    }

    [Fact]
    public void Several_ranks_and_absent_layers_can_be_applied_but_not_trained_on()
    {
        var path = Custom(
            null,
            [.. Pair("blk.0.attn_q.weight", 64, 64, 2, 0.1f), .. Pair("blk.1.attn_q.weight", 64, 64, 4, 0.1f)]
        );
        Should.Throw<GgufException>(() => AdapterFile.Read(path, _model)).Message.ShouldContain("one rank");
        using var adapter = AdapterFile.Read(path, _model, forTraining: false);
        // llama.cpp scales each tensor by alpha over its own rank: 8/2 and 8/4. Products: rank * 0.1 * 0.1.
        CheckMerge(adapter, "blk.0.attn_q.weight", 8.0 / 2 * 2 * 0.01);
        CheckMerge(adapter, "blk.1.attn_q.weight", 8.0 / 4 * 4 * 0.01);

        var partial = Custom(null, Pair("blk.1.attn_q.weight", 64, 64, 2));
        Should.Throw<GgufException>(() => AdapterFile.Read(partial, _model)).Message.ShouldContain("blk.0.attn_q");
        using var half = AdapterFile.Read(partial, _model, forTraining: false);
        CheckMerge(half, "blk.0.attn_q.weight", 0);
    }

    private void CheckMerge(NativeAdapter adapter, string name, double expected)
    {
        var merged = new float[64 * 64];
        adapter.MergeWeight(name, merged);
        var original = MemoryMarshal.Cast<byte, float>(_model.File.Data(_model.File.Find(name)!));
        for (var i = 0; i < merged.Length; i++)
        {
            ((double)merged[i] - original[i]).ShouldBe(expected, 1e-6);
        }
    }

    [Fact]
    public void Alpha_zero_means_a_scale_of_one()
    {
        var path = Custom(
            m => m.Set("adapter.lora.alpha", GgufValue.Of(0f)),
            Pair("blk.0.attn_q.weight", 64, 64, 2, 0.1f)
        );
        using var adapter = AdapterFile.Read(path, _model, forTraining: false);
        CheckMerge(adapter, "blk.0.attn_q.weight", 2 * 0.01);
    }

    [Theory]
    [InlineData("lora", 8, 2f, LoraTargets.All)]
    [InlineData("lora_accum", 8, 5.656854f, LoraTargets.AttnQ | LoraTargets.AttnV)]
    public void Reference_adapters_of_peft_read_with_their_scale(
        string folder,
        int rank,
        float scale,
        LoraTargets targets
    )
    {
        var info = AdapterFile.Describe(SharedFiles.Require($"fixtures/peft/{folder}/init.gguf"));
        (info.Rank, info.Targets).ShouldBe((rank, targets));
        info.Scale.ShouldBe(scale, 1e-6f);
    }

    [Fact]
    public void A_full_parameter_run_leaves_a_model_that_reads_back()
    {
        using var full = new NativeAdapter(_model.Native, new AdapterParams { Method = TrainMethod.Full });
        foreach (ref var value in full.Parameters)
        {
            value *= 1.1f;
        }
        ModelFile.Write(At("m.gguf"), _model, full);
        Should
            .Throw<SlimmingException>(() => AdapterFile.Write(At("x.gguf"), _model, full))
            .Message.ShouldContain("LoRA");
        using var trained = BaseModel.Open(At("m.gguf"), _runtime);
        ExportTestModels.Logits(trained, null).ShouldBe(ExportTestModels.Logits(_model, full));
        using var back = new NativeAdapter(_model.Native, new AdapterParams { Method = TrainMethod.Full });
        ModelFile.Load(At("m.gguf"), back);
        back.Parameters.SequenceEqual(full.Parameters).ShouldBeTrue();
    }
}
