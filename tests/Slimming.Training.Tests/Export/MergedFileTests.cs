using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Models;
using Slimming.Training.Export;
using Slimming.Training.Tests.Models;

namespace Slimming.Training.Tests.Export;

public sealed class MergedFileTests : IDisposable
{
    private readonly NativeRuntime _runtime = NativeRuntime.Create(1);
    private readonly string _out = Path.Combine(TinyGguf.NewFolder(), "merged.gguf");

    public void Dispose() => _runtime.Dispose();

    private IReadOnlyList<TensorPlan> Write(BaseModel model, GgmlType? type, IWeightSource weights)
    {
        var plans = TypePlan.For(model.File, type, weights);
        MergedContent content = new(model.File, MergedFile.Metadata(model.File, type), plans, weights);
        MergedFile.Write(_out, content, overwrite: false, _ => { }, default);
        return plans;
    }

    [Theory]
    [InlineData(GgmlType.F32)]
    [InlineData(GgmlType.Q8_0)]
    [InlineData(GgmlType.Q4_0)]
    public void Merged_f32_equals_the_adapter_in_the_native_forward(GgmlType baseType)
    {
        using var model = BaseModel.Open(new TinyGguf(baseType).Write(), _runtime);
        using var adapter = ExportTestModels.RandomAdapter(model);
        Write(model, GgmlType.F32, new MergedWeights(adapter));
        using var merged = BaseModel.Open(_out, _runtime);
        var wanted = ExportTestModels.Logits(model, adapter);
        ExportTestModels.MaxDifference(ExportTestModels.Logits(merged, null), wanted).ShouldBeLessThan(1e-4);
        ExportTestModels.MaxDifference(ExportTestModels.Logits(model, null), wanted).ShouldBeGreaterThan(0.01);
    }

    [Fact]
    public void Same_keeps_types_and_copies_what_no_adapter_touches()
    {
        using var model = BaseModel.Open(new TinyGguf(GgmlType.Q4_0).Write(), _runtime);
        using var adapter = ExportTestModels.RandomAdapter(model, targets: LoraTargets.AttnV);
        var plans = Write(model, null, new MergedWeights(adapter));
        plans.Count(p => p.IsAdapted).ShouldBe(2);
        using var merged = GgufFile.Open(_out);
        merged
            .Metadata.Select(p => (p.Key, Convert.ToHexString(p.Value.Raw.Span)))
            .ShouldBe(model.File.Metadata.Select(p => (p.Key, Convert.ToHexString(p.Value.Raw.Span))));
        foreach (var tensor in model.File.Tensors)
        {
            var found = merged.Find(tensor.Name).ShouldNotBeNull();
            (found.Type, found.Offset).ShouldBe((tensor.Type, tensor.Offset));
            var isAdapted = tensor.Name.Contains("attn_v", StringComparison.Ordinal);
            merged.Data(found).SequenceEqual(model.File.Data(tensor)).ShouldBe(!isAdapted, tensor.Name);
            if (isAdapted)
            {
                var values = new float[tensor.ValueCount];
                adapter.MergeWeight(tensor.Name, values);
                var blocks = new byte[tensor.ByteCount];
                Quantizer.Quantize(tensor.Type, values, (int)tensor.RowLength, blocks);
                merged.Data(found).SequenceEqual(blocks).ShouldBeTrue(tensor.Name);
            }
        }
    }

    [Fact]
    public void An_untrained_adapter_merges_into_the_very_same_file()
    {
        using var model = BaseModel.Open(new TinyGguf(GgmlType.Q4_0).Write(), _runtime);
        using var adapter = new NativeAdapter(
            model.Native,
            new AdapterParams
            {
                Method = TrainMethod.Lora,
                Targets = LoraTargets.All,
                Rank = 4,
                Scale = 2,
            }
        );
        Write(model, null, new MergedWeights(adapter));
        File.ReadAllBytes(_out).SequenceEqual(File.ReadAllBytes(model.File.Path)).ShouldBeTrue();
    }

    [Theory]
    [InlineData("f32", GgmlType.F32, 0)]
    [InlineData("f16", GgmlType.F16, 1)]
    [InlineData("bf16", GgmlType.BF16, 32)]
    [InlineData("q8_0", GgmlType.Q8_0, 7)]
    [InlineData("q4_0", GgmlType.Q4_0, 2)]
    [InlineData("q4_1", GgmlType.Q4_1, 3)]
    [InlineData("q5_k", GgmlType.Q5_1, 16)]
    [InlineData("q4_k", GgmlType.Q5_0, 14)]
    [InlineData("q6_k", GgmlType.Q8_0, 18)]
    public void Every_type_converts_2d_weights_and_leaves_1d_alone(string name, GgmlType expected, uint fileType)
    {
        // Rows of 64 and 96 values: K-quants fall back as in llama.cpp.
        using var model = BaseModel.Open(new TinyGguf().Write(), _runtime);
        var type = TypePlan.Parse(name);
        var plans = Write(model, type, new UnchangedWeights());
        using var merged = GgufFile.Open(_out);
        merged.Metadata.GetInteger("general.file_type").ShouldBe(fileType);
        foreach (var tensor in merged.Tensors)
        {
            tensor.Type.ShouldBe(tensor.Shape.Count == 1 ? GgmlType.F32 : expected, tensor.Name);
            var original = model.File.Find(tensor.Name)!;
            var values = MemoryMarshal.Cast<byte, float>(model.File.Data(original)).ToArray();
            var back = new float[values.Length];
            NativeRuntime.Dequantize(tensor.Type, merged.Data(tensor), back);
            var tolerance = tensor.Shape.Count == 1 || expected == GgmlType.F32 ? 0 : 0.03;
            ExportTestModels.MaxDifference(values, back).ShouldBeLessThanOrEqualTo(tolerance, tensor.Name);
        }
        var fellBack = plans.Where(p => p.FellBackFrom != null).ToList();
        fellBack.Count.ShouldBe(name.EndsWith("_k", StringComparison.Ordinal) ? 15 : 0);
    }

    [Fact]
    public void K_quants_stay_where_they_divide_the_rows()
    {
        using var model = BaseModel.Open(new TinyGguf(nFf: 256).Write(), _runtime);
        var plans = Write(model, GgmlType.Q4_K, new UnchangedWeights());
        plans.Single(p => p.Source.Name == "blk.0.ffn_down.weight").Type.ShouldBe(GgmlType.Q4_K);
        plans.Single(p => p.Source.Name == "blk.0.ffn_up.weight").Type.ShouldBe(GgmlType.Q5_0);
        using var merged = BaseModel.Open(_out, _runtime);
        ExportTestModels.Logits(merged, null).ShouldAllBe(x => float.IsFinite(x));
    }

    [Fact]
    public void Rows_that_not_even_32_divides_become_f16()
    {
        using var model = BaseModel.Open(new TinyGguf(nFf: 40).Write(), _runtime);
        var plan = TypePlan
            .For(model.File, GgmlType.Q4_K, new UnchangedWeights())
            .Single(p => p.Source.Name == "blk.0.ffn_down.weight");
        (plan.Type, plan.FellBackFrom).ShouldBe((GgmlType.F16, GgmlType.Q4_K));
    }

    [Fact]
    public void A_full_parameter_model_goes_back_into_the_types_of_its_base()
    {
        using var model = BaseModel.Open(new TinyGguf(GgmlType.Q8_0).Write(), _runtime);
        using var full = new NativeAdapter(model.Native, new AdapterParams { Method = TrainMethod.Full });
        foreach (ref var value in full.Parameters)
        {
            value *= 1.05f;
        }
        var trainedPath = Path.Combine(TinyGguf.NewFolder(), "model.gguf");
        ModelFile.Write(trainedPath, model, full);
        using var trained = GgufFile.Open(trainedPath);
        var weights = new TrainedWeights(trained, model.File);
        weights.CheckBase();
        Write(model, null, weights);
        using var merged = BaseModel.Open(_out, _runtime);
        merged.File.Tensors.Select(t => t.Type).ShouldBe(model.File.Tensors.Select(t => t.Type));
        ExportTestModels
            .MaxDifference(ExportTestModels.Logits(merged, null), ExportTestModels.Logits(model, full))
            .ShouldBeLessThan(0.05);
        using var other = GgufFile.Open(new TinyGguf(nFf: 64).Write());
        Should
            .Throw<GgufException>(() => new TrainedWeights(other, model.File).CheckBase())
            .Message.ShouldContain("ffn");
    }

    [Fact]
    public void A_value_that_is_not_finite_is_named_and_leaves_no_file()
    {
        using var model = BaseModel.Open(new TinyGguf().Write(), _runtime);
        using var adapter = ExportTestModels.RandomAdapter(model);
        adapter.ValuesOf(adapter.Find("blk.1.ffn_up.weight.lora_b")!)[5 * 4] = float.NaN;
        var error = Should.Throw<SlimmingException>(() => Write(model, null, new MergedWeights(adapter)));
        error.Message.ShouldContain("'blk.1.ffn_up.weight', row 5");
        Directory.GetFiles(Path.GetDirectoryName(_out)!).ShouldBeEmpty();
    }

    [Fact]
    public void Cancelling_leaves_no_file()
    {
        using var model = BaseModel.Open(new TinyGguf().Write(), _runtime);
        using var source = new CancellationTokenSource();
        var weights = new UnchangedWeights();
        Should.Throw<OperationCanceledException>(() =>
            MergedFile.Write(
                _out,
                new MergedContent(
                    model.File,
                    MergedFile.Metadata(model.File, GgmlType.Q8_0),
                    TypePlan.For(model.File, GgmlType.Q8_0, weights),
                    weights
                ),
                overwrite: false,
                done =>
                {
                    if (done == 3)
                    {
                        source.Cancel();
                    }
                },
                source.Token
            )
        );
        Directory.GetFiles(Path.GetDirectoryName(_out)!).ShouldBeEmpty();
    }

    [Fact]
    public void An_unknown_type_is_refused_with_the_list() =>
        Should
            .Throw<SlimmingException>(() => TypePlan.Parse("q9_k"))
            .Message.ShouldContain(
                "same, f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q6_k, q5_k, q4_k, q3_k, q2_k, iq4_nl, iq4_xs, iq3_s"
            );

    [Fact]
    public void Overrides_choose_types_by_pattern_and_the_last_match_counts()
    {
        using var model = BaseModel.Open(new TinyGguf().Write(), _runtime);
        TypeOverride[] overrides = [.. new[] { "attn_[qkv]=q8_0", @"blk\.1\.attn_v=same" }.Select(TypeOverride.Parse)];
        var plans = TypePlan.For(model.File, GgmlType.Q4_0, new UnchangedWeights(), overrides);
        GgmlType TypeOf(string name) => plans.Single(p => p.Source.Name == name).Type;
        TypeOf("blk.0.attn_v.weight").ShouldBe(GgmlType.Q8_0);
        TypeOf("blk.1.attn_k.weight").ShouldBe(GgmlType.Q8_0);
        TypeOf("blk.1.attn_v.weight").ShouldBe(GgmlType.F32);
        TypeOf("blk.0.ffn_up.weight").ShouldBe(GgmlType.Q4_0);
        TypeOf("blk.0.attn_norm.weight").ShouldBe(GgmlType.F32);
        foreach (var wrong in new[] { "attn_v", "=q8_0", "attn_v=q9", "(=q8_0" })
        {
            Should.Throw<SlimmingException>(() => TypeOverride.Parse(wrong)).Message.ShouldContain("--tensor-type");
        }
        Should
            .Throw<SlimmingException>(() =>
                TypePlan.For(model.File, null, new UnchangedWeights(), [TypeOverride.Parse("attn_norm=q8_0")])
            )
            .Message.ShouldContain("'attn_norm'");
    }

    [Fact]
    public void A_base_in_parts_is_written_as_the_one_file_it_was()
    {
        var whole = new TinyGguf(GgmlType.Q8_0).Set("tokenizer.chat_template", GgufValue.Of("{{ messages }}\n"));
        var wholePath = whole.Write();
        var folder = TinyGguf.NewFolder();
        string At(int part) => Path.Combine(folder, $"m-0000{part + 1}-of-00002.gguf");
        foreach (var part in new[] { 0, 1 })
        {
            var metadata = part == 0 ? whole.Metadata.Clone() : new GgufMetadata("part");
            metadata.Set("split.no", GgufValue.Of((uint)part));
            metadata.Set("split.count", GgufValue.Of(2u));
            metadata.Set("split.tensors.count", GgufValue.Of(whole.Tensors.Count));
            var tensors = part == 0 ? whole.Tensors[..5] : whole.Tensors[5..];
            using var writer = new GgufWriter(At(part), metadata);
            tensors.ForEach(t => writer.AddTensor(t.Name, t.Type, t.Shape));
            tensors.ForEach(t => writer.Write(t.Name, t.Bytes));
            writer.Complete();
        }
        using var model = BaseModel.Open(At(0), _runtime);
        Write(model, null, new UnchangedWeights());
        File.ReadAllBytes(_out).SequenceEqual(File.ReadAllBytes(wholePath)).ShouldBeTrue();
    }
}
