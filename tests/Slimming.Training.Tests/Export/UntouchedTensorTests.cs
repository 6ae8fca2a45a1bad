using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;
using Slimming.TestSupport;
using Slimming.Training.Export;
using Slimming.Training.Tests.Models;

namespace Slimming.Training.Tests.Export;

/// <summary>What an export does not change, and files larger than 4 GiB.</summary>
public sealed class UntouchedTensorTests : IDisposable
{
    private readonly NativeRuntime _runtime = NativeRuntime.Create(1);
    private readonly string _folder = TinyGguf.NewFolder();

    public void Dispose()
    {
        _runtime.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private string Merge(GgufFile model, GgmlType? type, IWeightSource weights, string name)
    {
        MergedContent content = new(
            model,
            MergedFile.Metadata(model, type),
            TypePlan.For(model, type, weights),
            weights
        );
        MergedFile.Write(At(name), content, overwrite: false, _ => { }, default);
        return At(name);
    }

    [Fact]
    public void Tensors_of_other_kinds_are_copied_byte_for_byte()
    {
        var raw = RawGguf.Of(new TinyGguf().Add("rope_freqs.weight", GgmlType.F32, 8).Write());
        raw.Add("extra.ids", GgmlType.I32, 32, 4).Add("extra.doubles", GgmlType.F64, 32, 2);
        raw.Add("extra.unknown", GgmlType.I8, 64, 2).Change("extra.unknown", t => t with { Type = 999 });
        foreach (var name in new[] { "extra.ids", "extra.doubles", "extra.unknown" })
        {
            raw.Change(name, t => t with { Data = [.. t.Data.Select((_, i) => (byte)(37 * i))] });
        }
        using var model = GgufFile.Open(raw.Write(At("m.gguf")));
        using var merged = GgufFile.Open(Merge(model, GgmlType.Q8_0, new UnchangedWeights(), "q8_0.gguf"));
        var untouched = model.Tensors.Where(t =>
            t.Shape.Count == 1 || t.Name.StartsWith("extra", StringComparison.Ordinal)
        );
        untouched.Count().ShouldBe(9);
        foreach (var tensor in model.Tensors)
        {
            var found = merged.Find(tensor.Name).ShouldNotBeNull(tensor.Name);
            found.Shape.ShouldBe(tensor.Shape, tensor.Name);
            if (untouched.Contains(tensor))
            {
                found.Type.ShouldBe(tensor.Type, tensor.Name);
                merged.Data(found).SequenceEqual(model.Data(tensor)).ShouldBeTrue(tensor.Name);
            }
            else
            {
                found.Type.ShouldBe(GgmlType.Q8_0, tensor.Name);
            }
        }
    }

    [Fact]
    public void Weights_behind_4_GiB_compute_and_are_exported_alike()
    {
        var path = new TinyGguf(GgmlType.Q8_0).Write();
        var raw = RawGguf.Of(path);
        for (var i = 8; i < raw.Tensors.Count; i++)
        {
            raw.Tensors[i] = raw.Tensors[i] with { Offset = raw.Tensors[i].Offset + (5UL << 30) };
        }
        using var near = BaseModel.Open(path, _runtime);
        using var far = BaseModel.Open(raw.Write(At("far.gguf")), _runtime);
        far.File.Length.ShouldBeGreaterThan(5L << 30);
        WeightCheck.RequireFinite(far.File, 1);
        using var nearAdapter = ExportTestModels.RandomAdapter(near);
        using var farAdapter = ExportTestModels.RandomAdapter(far);
        ExportTestModels.Logits(far, farAdapter).ShouldBe(ExportTestModels.Logits(near, nearAdapter));
        foreach (var type in new GgmlType?[] { null, GgmlType.F32 })
        {
            var expected = Merge(near.File, type, new MergedWeights(nearAdapter), $"near-{type}");
            var found = Merge(far.File, type, new MergedWeights(farAdapter), $"far-{type}");
            File.ReadAllBytes(found).SequenceEqual(File.ReadAllBytes(expected)).ShouldBeTrue($"{type}");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(64 * 48 - 1)]
    public void The_first_value_that_is_not_finite_is_named(int at)
    {
        var raw = RawGguf.Of(new TinyGguf().Write());
        raw.Poke("token_embd.weight", at * 4, BitConverter.GetBytes(float.NegativeInfinity));
        raw.Poke("blk.1.ffn_down.weight", 0, BitConverter.GetBytes(float.NaN));
        using var file = GgufFile.Open(raw.Write(At("m.gguf")));
        Should
            .Throw<GgufException>(() => WeightCheck.RequireFinite(file, 4))
            .Message.ShouldContain(
                $"tensor 'token_embd.weight', row {at / 64}, value {at % 64}: expected a finite number"
            );
    }
}
