using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Models;
using Slimming.TestSupport;
using Slimming.Training.Export;
using Slimming.Training.Tests.Models;

namespace Slimming.Training.Tests.Export;

public sealed class ExporterTests : IDisposable
{
    private readonly NativeRuntime _runtime = NativeRuntime.Create(1);
    private readonly string _folder = TinyGguf.NewFolder();

    public void Dispose() => _runtime.Dispose();

    private string At(string name) => Path.Combine(_folder, name);

    private static ExportResult Run(ExportRequest request) => Exporter.Run(request with { Threads = 1 }, _ => { });

    /// <summary>Reference models carry a tokenizer, which llama.cpp needs; those of arch llama lie in the repository.</summary>
    private static string Reference(string name)
    {
        var own = Path.Combine(SharedFiles.RepoRoot, "tests", "fixtures", $"arch-{name}.gguf");
        return File.Exists(own) ? own : SharedFiles.Require($"fixtures/arch/{name}.gguf");
    }

    [Theory]
    [InlineData("llama/model-f32")]
    [InlineData("llama3/model-f32")]
    [InlineData("mistral/model-f32")]
    [InlineData("gemma/model-f32")]
    [InlineData("gemma2/model-f32")]
    [InlineData("gemma3/model-f32")]
    [InlineData("gemma3-linear/model-f32")]
    [InlineData("qwen2/model-f32")]
    [InlineData("qwen3/model-f32")]
    [InlineData("llama/model-q4_0")]
    public void An_adapter_computes_the_same_in_llama_cpp(string name)
    {
        var model = Reference(name);
        var adapter = ExportTestModels.WriteAdapter(model, _runtime);
        var result = Run(
            new ExportRequest
            {
                Source = adapter,
                Model = model,
                Out = At("a.gguf"),
            }
        );
        result.Kind.ShouldBe(ExportKind.Adapter);
        result.Verification!.Warning.ShouldBeNull();
        if (name.EndsWith("f32", StringComparison.Ordinal))
        {
            result.Verification.Exported.Distance.MeanKl.ShouldBeLessThan(1e-5);
        }
        // An export without a scale writes the very same file.
        File.ReadAllBytes(At("a.gguf")).ShouldBe(File.ReadAllBytes(adapter));
    }

    [Theory]
    [InlineData("llama/model-q8_0", "f32")]
    [InlineData("qwen3/model-f32", "f32")]
    [InlineData("gemma3/model-q4_0", "f32")]
    [InlineData("llama/model-q8_0", "same")]
    [InlineData("llama/model-f32", "f16")]
    [InlineData("llama/model-f32", "bf16")]
    [InlineData("llama/model-f32", "q4_k")]
    public void A_merged_model_computes_the_same_in_llama_cpp(string name, string type)
    {
        var model = Reference(name);
        var adapter = ExportTestModels.WriteAdapter(model, _runtime);
        var result = Run(
            new ExportRequest
            {
                Source = adapter,
                To = ExportKind.Merged,
                Type = type,
                Model = model,
                Out = At("m.gguf"),
            }
        );
        result.Verification!.Warning.ShouldBeNull();
        result.Adapted.ShouldBeGreaterThan(0);
        (result.Adapted + result.Converted + result.Copied).ShouldBe(Tensors(model));
        result.Fallbacks.Count.ShouldBe(type == "q4_k" ? 16 : 0);
    }

    private static int Tensors(string path)
    {
        using var file = GgufFile.Open(path);
        return file.Tensors.Count;
    }

    [Fact]
    public void Scale_multiplies_the_adapter_in_both_kinds()
    {
        var path = Reference("llama/model-f32");
        var adapter = ExportTestModels.WriteAdapter(path, _runtime);
        Run(
            new ExportRequest
            {
                Source = adapter,
                Model = path,
                Scale = 0.5,
                Out = At("half.gguf"),
            }
        );
        AdapterFile.Describe(At("half.gguf")).Scale.ShouldBe(1f, 1e-6f);
        Run(
            new ExportRequest
            {
                Source = adapter,
                To = ExportKind.Merged,
                Type = "f32",
                Scale = 0.5,
                Model = path,
                Out = At("merged.gguf"),
            }
        );
        using var model = BaseModel.Open(path, _runtime);
        using var half = AdapterFile.Read(At("half.gguf"), model);
        using var merged = BaseModel.Open(At("merged.gguf"), _runtime);
        ExportTestModels
            .MaxDifference(ExportTestModels.Logits(merged, null), ExportTestModels.Logits(model, half))
            .ShouldBeLessThan(1e-4);
    }

    [Fact]
    public void A_base_alone_is_written_in_another_type()
    {
        var model = Reference("llama/model-q8_0");
        var result = Run(
            new ExportRequest
            {
                Model = model,
                Type = "f32",
                Out = At("f32.gguf"),
            }
        );
        (result.Kind, result.Adapted).ShouldBe((ExportKind.Merged, 0));
        result.Verification!.Exported.Distance.MeanKl.ShouldBeLessThan(1e-8);
        using var file = GgufFile.Open(At("f32.gguf"));
        file.Tensors.ShouldAllBe(t => t.Type == GgmlType.F32);
        file.Metadata.GetInteger("general.file_type").ShouldBe(0);
    }

    [Fact]
    public void A_file_that_llama_cpp_cannot_check_does_not_stay()
    {
        // Sound for us, but without a tokenizer llama.cpp has no text to compare on.
        var model = new TinyGguf().Write();
        var adapter = ExportTestModels.WriteAdapter(model, _runtime);
        Should
            .Throw<SlimmingException>(() =>
                Run(
                    new ExportRequest
                    {
                        Source = adapter,
                        Model = model,
                        Out = At("a.gguf"),
                    }
                )
            )
            .Message.ShouldContain("tokenizer");
        Should.Throw<SlimmingException>(() =>
            Run(
                new ExportRequest
                {
                    Model = model,
                    Type = "q8_0",
                    Out = At("m.gguf"),
                }
            )
        );
        Directory.GetFileSystemEntries(_folder).ShouldBeEmpty();
    }

    [Fact]
    public void Combinations_that_mean_nothing_are_refused()
    {
        var model = new TinyGguf().Write();
        var adapter = ExportTestModels.WriteAdapter(model, _runtime);
        var request = new ExportRequest { Model = model, Out = At("x.gguf") };
        Refused(request with { To = ExportKind.Adapter }, ExitCode.Usage, "--to adapter");
        Refused(request with { To = ExportKind.Peft }, ExitCode.Usage, "--to peft");
        Refused(request with { Scale = 2 }, ExitCode.Usage, "--scale");
        Refused(request with { Source = adapter, Scale = 0 }, ExitCode.Usage, "--scale");
        Refused(request with { Source = adapter, Scale = double.NaN }, ExitCode.Usage, "--scale");
        Refused(request with { Source = adapter, Type = "q8_0" }, ExitCode.Usage, "--type");
        Refused(request with { Type = "q9_k" }, ExitCode.Usage, "--type");
        Refused(request with { Source = adapter, Model = null }, ExitCode.Usage, "--model");
        Refused(request with { Source = At("absent.gguf") }, ExitCode.Usage, "no such file");
        Refused(request with { Source = _folder }, ExitCode.Usage, "run.json");
        Refused(request with { Model = adapter }, ExitCode.Usage, "'general.type'");
        Refused(request with { Source = model }, ExitCode.Usage, "lora_a");
        Refused(request with { Out = model, Force = true }, ExitCode.Refused, "an input");
        File.WriteAllText(At("taken.gguf"), "mine");
        Refused(request with { Source = adapter, Out = At("taken.gguf") }, ExitCode.Refused, "--force");
        File.ReadAllText(At("taken.gguf")).ShouldBe("mine");
        Refused(request with { Out = At("no/such/folder/x.gguf") }, ExitCode.Failed, "does not exist");
    }

    private static void Refused(ExportRequest request, ExitCode code, string word)
    {
        var error = Should.Throw<SlimmingException>(() => Run(request), word);
        error.Message.ShouldContain(word);
        error.Code.ShouldBe(code, error.Message);
    }

    [Fact]
    public void Peft_gets_q_and_k_rows_in_its_own_order()
    {
        var path = new TinyGguf().Write();
        var adapter = ExportTestModels.WriteAdapter(path, _runtime, LoraTargets.AttnK | LoraTargets.AttnV);
        Run(
            new ExportRequest
            {
                Source = adapter,
                To = ExportKind.Peft,
                Model = path,
                Out = At("peft"),
            }
        );
        var config = JsonNode.Parse(File.ReadAllText(At("peft/adapter_config.json")))!;
        ((int)config["r"]!, (double)config["lora_alpha"]!).ShouldBe((4, 8.0));
        config["target_modules"]!.AsArray().Select(m => (string)m!).ShouldBe(["k_proj", "v_proj"]);

        using var file = GgufFile.Open(adapter);
        var k = Floats(file.Data(file.Find("blk.1.attn_k.weight.lora_b")!));
        var v = Floats(file.Data(file.Find("blk.1.attn_v.weight.lora_b")!));
        var a = Floats(file.Data(file.Find("blk.1.attn_k.weight.lora_a")!));
        const string prefix = "base_model.model.model.layers.1.self_attn.";
        Safetensor(prefix + "v_proj.lora_B.weight", [32, 4]).ShouldBe(v);
        Safetensor(prefix + "k_proj.lora_A.weight", [4, 64]).ShouldBe(a);
        var found = Safetensor(prefix + "k_proj.lora_B.weight", [32, 4]);
        // Two heads of 16 rows; Hugging Face row h of a head holds GGUF row 2h, or 2(h - 8) + 1 in the second half.
        for (var head = 0; head < 2; head++)
        {
            for (var h = 0; h < 16; h++)
            {
                var row = head * 16 + (h < 8 ? 2 * h : 2 * (h - 8) + 1);
                found.AsSpan((head * 16 + h) * 4, 4).ToArray().ShouldBe(k[(row * 4)..(row * 4 + 4)]);
            }
        }

        File.WriteAllText(At("peft/notes.txt"), "mine");
        Refused(
            new ExportRequest
            {
                Source = adapter,
                To = ExportKind.Peft,
                Model = path,
                Out = At("peft"),
                Force = true,
            },
            ExitCode.Refused,
            "notes.txt"
        );
    }

    private float[] Safetensor(string name, int[] shape)
    {
        var bytes = File.ReadAllBytes(At("peft/adapter_model.safetensors"));
        var head = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        (head % 8).ShouldBe(0);
        var entry = JsonNode.Parse(bytes.AsSpan(8, head))![name]!;
        ((string)entry["dtype"]!).ShouldBe("F32");
        entry["shape"]!.AsArray().Select(n => (int)n!).ShouldBe(shape);
        var from = (int)entry["data_offsets"]![0]!;
        var to = (int)entry["data_offsets"]![1]!;
        return Floats(bytes.AsSpan(8 + head + from, to - from));
    }

    private static float[] Floats(ReadOnlySpan<byte> bytes) =>
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes).ToArray();

    /// <summary>A trained adapter of the real model against 1,000 positions of real text.</summary>
    [Fact]
    public void On_the_real_model_adapter_and_merged_file_stay_within_the_base_s_noise()
    {
        var path = SharedFiles.Require("models/SmolLM2-135M-Instruct.Q4_1.gguf");
        var adapterPath = SharedFiles.Require("fixtures/peft/lora_accum/final.gguf");
        var text = File.ReadAllText(SharedFiles.Require("data/corpora/wiki_sample.txt"));
        using var runtime = NativeRuntime.Create();
        using var model = BaseModel.Open(path, runtime);
        using var adapter = AdapterFile.Read(adapterPath, model);
        AdapterFile.Write(At("a.gguf"), model, adapter);
        var weights = new MergedWeights(adapter);
        MergedFile.Write(
            At("m.gguf"),
            new MergedContent(
                model.File,
                MergedFile.Metadata(model.File, GgmlType.F32),
                TypePlan.For(model.File, GgmlType.F32, weights),
                weights
            ),
            overwrite: false,
            _ => { },
            default
        );
        // One thread: llama.cpp's threads spin while they wait, which starves tests that run beside this one.
        const int threads = 1;
        using var llama = LlamaModel.Load(path);
        var probe = new LogitProbe(llama.Vocab, model.ContextLength, 1000, text);
        probe.Positions.ShouldBe(1000);
        var native = probe.Native(model.Native, null);
        var noise = LogitDistance.Between(native, probe.Llama(llama, null, threads), model.Parameters.NVocab);
        var wanted = probe.Native(model.Native, adapter);
        using (var loaded = LlamaAdapter.Load(llama, At("a.gguf")))
        {
            var d = LogitDistance.Between(wanted, probe.Llama(llama, loaded, threads), model.Parameters.NVocab);
            d.MeanKl.ShouldBeLessThanOrEqualTo(1.3 * noise.MeanKl);
            ((double)d.ArgmaxDiffers).ShouldBeLessThanOrEqualTo(
                1.3 * noise.ArgmaxDiffers + 2 * Math.Sqrt(noise.ArgmaxDiffers)
            );
        }
        // The adapter must do something, or the comparison says nothing.
        LogitDistance.Between(native, wanted, model.Parameters.NVocab).MeanKl.ShouldBeGreaterThan(1e-4);

        using var llamaMerged = LlamaModel.Load(At("m.gguf"));
        var merged = LogitDistance.Between(wanted, probe.Llama(llamaMerged, null, threads), model.Parameters.NVocab);
        merged.MeanKl.ShouldBeLessThan(1e-5);
        merged.ArgmaxDiffersClearly.ShouldBe(0);
        using var mergedModel = BaseModel.Open(At("m.gguf"), runtime);
        LogitDistance
            .Between(wanted, probe.Native(mergedModel.Native, null), model.Parameters.NVocab)
            .MaxAbs.ShouldBeLessThan(1e-3);
        File.Delete(At("m.gguf"));
    }
}
