using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Models;
using Slimming.TestSupport;
using Slimming.Training.Export;
using Slimming.Training.Tests.Models;

namespace Slimming.Training.Tests.Export;

public sealed class PeftAdapterTests : IDisposable
{
    private const string Model = "models/SmolLM2-135M-Instruct.Q4_1.gguf";
    private const int Positions = 4;

    private readonly NativeRuntime _runtime = NativeRuntime.Create(1);
    private readonly string _folder = TinyGguf.NewFolder();

    public void Dispose()
    {
        _runtime.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static string Fixture(string name) => SharedFiles.Require($"fixtures/peft-format/{name}");

    private static float[] Floats(string path) => MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(path)).ToArray();

    private static int[] Prompt(string folder) =>
        [
            .. JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "case.json")))!["prompt_ids"]!
                .AsArray()
                .Select(id => (int)id!),
        ];

    /// <summary>[4, n_vocab] of the last positions.</summary>
    private static float[] LastLogits(NativeModel model, NativeAdapter? adapter, int[] prompt)
    {
        using var context = new NativeContext(
            model,
            adapter,
            new ContextParams
            {
                MicroBatchTokens = prompt.Length,
                MaxSequenceTokens = prompt.Length,
                LogitRows = Positions,
            }
        );
        var logits = new float[Positions * context.VocabularySize];
        long[] rows = [.. Enumerable.Range(prompt.Length - Positions, Positions).Select(i => (long)i)];
        context.Logits(Batch.Single(prompt), rows, logits);
        return logits;
    }

    /// <summary>The base with merged tensors in f32 in place of its own.</summary>
    private NativeModel Merged(BaseModel model, PeftWeights weights, List<GCHandle> pins)
    {
        var tensors = new List<NativeTensor>();
        foreach (var tensor in model.File.Tensors)
        {
            if (!weights.Changes(tensor.Name))
            {
                unsafe
                {
                    var data = (nint)model.File.Pointer(tensor);
                    tensors.Add(new NativeTensor(tensor.Name, tensor.Type, tensor.Shape, data, tensor.ByteCount));
                }
                continue;
            }
            var values = new float[tensor.ValueCount];
            weights.Read(tensor, values);
            var pin = GCHandle.Alloc(values, GCHandleType.Pinned);
            pins.Add(pin);
            tensors.Add(
                new NativeTensor(
                    tensor.Name,
                    GgmlType.F32,
                    tensor.Shape,
                    pin.AddrOfPinnedObject(),
                    values.Length * sizeof(float)
                )
            );
        }
        return new NativeModel(_runtime, model.Parameters, tensors);
    }

    [Theory]
    [InlineData("lora")]
    [InlineData("rslora")]
    [InlineData("dora")]
    [InlineData("ia3")]
    public void Logits_are_those_of_peft(string name)
    {
        var folder = Fixture(name);
        var prompt = Prompt(folder);
        var expected = Floats(Path.Combine(folder, "logits.f32"));
        using var model = BaseModel.Open(SharedFiles.Require(Model), _runtime);
        ExportTestModels.MaxDifference(LastLogits(model.Native, null, prompt), expected).ShouldBeGreaterThan(0.5);
        var peft = PeftAdapter.Read(folder, model);
        (peft.ReasonToMerge == null).ShouldBe(name.EndsWith("lora", StringComparison.Ordinal));
        if (peft.ReasonToMerge == null)
        {
            using var adapter = peft.ToNative();
            ExportTestModels.MaxDifference(LastLogits(model.Native, adapter, prompt), expected).ShouldBeLessThan(1e-3);
        }
        var pins = new List<GCHandle>();
        try
        {
            using var merged = Merged(model, new PeftWeights(peft, model.File), pins);
            ExportTestModels.MaxDifference(LastLogits(merged, null, prompt), expected).ShouldBeLessThan(1e-3);
        }
        finally
        {
            pins.ForEach(p => p.Free());
        }
    }

    [Fact]
    public void Biases_of_every_linear_are_merged_and_llama_cpp_computes_what_peft_does()
    {
        var folder = Fixture("lora-bias-lora_only");
        var prompt = Prompt(folder);
        var expected = Floats(Path.Combine(folder, "logits.f32"));
        using var model = BaseModel.Open(SharedFiles.Require(Model), _runtime);
        var weights = new PeftWeights(PeftAdapter.Read(folder, model), model.File);
        weights.Added.Count.ShouldBe(14);
        var path = Path.Combine(_folder, "merged.gguf");
        MergedFile.Write(
            path,
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
        using var llama = LlamaModel.Load(path);
        using var context = LlamaContext.Create(
            llama,
            new LlamaContextOptions
            {
                ContextTokens = prompt.Length,
                BatchTokens = prompt.Length,
                MicroBatchTokens = prompt.Length,
                Threads = 1,
                CacheType = GgmlType.F32,
                FlashAttention = false,
            }
        );
        var batch = new LlamaBatch();
        for (var i = 0; i < prompt.Length; i++)
        {
            batch.Add(prompt[i], i, [0], output: true);
        }
        context.Decode(batch);
        var found = Enumerable
            .Range(prompt.Length - Positions, Positions)
            .SelectMany(i => context.Logits(i).ToArray())
            .ToArray();
        ExportTestModels.MaxDifference(found, expected).ShouldBeLessThan(1e-3);
        // Our own decoder adds no bias to these linears and says so instead of leaving them out.
        Should.Throw<GgufException>(() => BaseModel.Open(path, _runtime)).Message.ShouldContain(".bias");
    }

    [Theory]
    [InlineData("lora")]
    [InlineData("rslora")]
    public void The_delta_of_k_is_in_gguf_row_order(string name)
    {
        var folder = Fixture(name);
        using var model = BaseModel.Open(SharedFiles.Require(Model), _runtime);
        var module = PeftAdapter.Read(folder, model).Modules["blk.1.attn_k.weight"];
        var expected = Floats(Path.Combine(folder, "delta_k_gguf.f32"));
        for (var i = 0; i < expected.Length; i++)
        {
            var (row, column) = (64 + i / 576, i % 576);
            var sum = Enumerable.Range(0, 4).Sum(r => (double)module.B![row * 4 + r] * module.A![r * 576 + column]);
            (module.Scale * sum).ShouldBe(expected[i], 1e-6);
        }
    }

    [Fact]
    public void The_merged_k_of_dora_is_in_gguf_row_order()
    {
        var folder = Fixture("dora");
        using var model = BaseModel.Open(SharedFiles.Require(Model), _runtime);
        var weights = new PeftWeights(PeftAdapter.Read(folder, model), model.File);
        var tensor = model.File.Find("blk.0.attn_k.weight")!;
        var values = new float[tensor.ValueCount];
        weights.Read(tensor, values);
        var expected = Floats(Path.Combine(folder, "merged_k_gguf.f32"));
        ExportTestModels.MaxDifference(values[..expected.Length], expected).ShouldBeLessThan(1e-6);
    }

    [Theory]
    [InlineData("dora", "DoRA")]
    [InlineData("ia3", "(IA)3")]
    [InlineData("lora-bias-lora_only", "biases")]
    public void What_only_merging_can_hold_is_refused_as_an_adapter_with_the_reason(string name, string word)
    {
        var request = new ExportRequest
        {
            Source = Fixture(name),
            Model = SharedFiles.Require(Model),
            Out = Path.Combine(_folder, "a.gguf"),
            Threads = 1,
        };
        var error = Should.Throw<SlimmingException>(() => Exporter.Run(request, _ => { }));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain(word);
        error.Message.ShouldContain("--to merged");
    }

    [Fact]
    public void Lora_written_and_read_again_is_equal()
    {
        using var model = BaseModel.Open(new TinyGguf().Write(), _runtime);
        using var adapter = ExportTestModels.RandomAdapter(model, rank: 3, scale: 1.7f);
        var folder = Path.Combine(_folder, "peft");
        PeftFolder.Write(folder, model, adapter, overwrite: false);
        using var again = PeftAdapter.Read(folder, model).ToNative();
        again.Options.ShouldBe(adapter.Options);
        again.Parameters.SequenceEqual(adapter.Parameters).ShouldBeTrue();
    }

    [Theory]
    [InlineData("\"use_qalora\": true", "use_qalora")]
    [InlineData("\"modules_to_save\": [\"lm_head\"]", "modules_to_save")]
    [InlineData("\"init_lora_weights\": \"pissa\"", "pissa")]
    [InlineData("\"r\": 2.5", "whole number")]
    [InlineData("\"r\": 5", "shape [5, 96]")]
    [InlineData("\"use_dora\": true", "lora_magnitude_vector")]
    [InlineData("\"peft_type\": \"LOKR\"", "LOKR")]
    [InlineData("\"rank_pattern\": {\"(\": 4}", "rank_pattern")]
    [InlineData("\"target_modules\": [\"q_proj\", \"lm_head\"]", "lm_head")]
    public void A_setting_that_is_not_computed_is_refused_by_name(string setting, string word)
    {
        var (model, folder) = Written();
        using (model)
        {
            var path = Path.Combine(folder, "adapter_config.json");
            var config = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
            var change = JsonNode.Parse($"{{{setting}}}")!.AsObject().Single();
            config[change.Key] = change.Value!.DeepClone();
            File.WriteAllText(path, config.ToJsonString());
            var error = Should.Throw<SlimmingException>(() => PeftAdapter.Read(folder, model));
            error.Code.ShouldBe(ExitCode.Usage);
            error.Message.ShouldContain(word);
        }
    }

    private (BaseModel Model, string Folder) Written()
    {
        var model = BaseModel.Open(new TinyGguf().Write(), _runtime);
        using var adapter = ExportTestModels.RandomAdapter(model);
        var folder = Path.Combine(_folder, "peft");
        PeftFolder.Write(folder, model, adapter, overwrite: false);
        return (model, folder);
    }

    [Fact]
    public void A_damaged_tensor_file_is_refused()
    {
        var (model, folder) = Written();
        using (model)
        {
            var path = Path.Combine(folder, "adapter_model.safetensors");
            var sound = File.ReadAllBytes(path);
            Refused([], "header length");
            Refused([.. BitConverter.GetBytes(ulong.MaxValue), .. sound[8..]], "header length");
            Refused(sound[..^1], "data_offsets");
            Refused([.. sound, 0], "data");
            Refused(sound[..20], "header length");
            var spoiled = (byte[])sound.Clone();
            BinaryPrimitives.WriteSingleLittleEndian(spoiled.AsSpan(sound.Length - 4), float.NaN);
            Refused(spoiled, "finite");
            Refused(Renamed(sound, "q_proj", "x_proj"), "x_proj");
            Refused(Renamed(sound, "\"F32\"", "\"I32\""), "I32");
            Refused(Renamed(sound, "[4,64]", "[9,64]"), "bytes");
            Refused(Renamed(sound, "[4,64]", "[-4,6]"), "whole numbers");
            Refused(Renamed(sound, "layers.1.", "layers.7."), "another base");
            Refused(Renamed(sound, "lora_A", "lora_Z"), "lora_Z");

            void Refused(byte[] bytes, string word)
            {
                File.WriteAllBytes(path, bytes);
                var error = Should.Throw<SlimmingException>(() => PeftAdapter.Read(folder, model), word);
                error.Code.ShouldBe(ExitCode.Usage);
                error.Message.ShouldContain(word);
            }
        }
    }

    /// <summary>The header with one text for another of its length.</summary>
    private static byte[] Renamed(byte[] file, string from, string to)
    {
        var bytes = (byte[])file.Clone();
        var at = bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(from));
        at.ShouldBeGreaterThan(0, from);
        Encoding.UTF8.GetBytes(to).CopyTo(bytes, at);
        return bytes;
    }
}
