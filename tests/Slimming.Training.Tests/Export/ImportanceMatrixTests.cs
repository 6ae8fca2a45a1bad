using System.Runtime.InteropServices;
using System.Text;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Models;
using Slimming.Training.Export;
using Slimming.Training.Tests.Models;

namespace Slimming.Training.Tests.Export;

public sealed class ImportanceMatrixTests : IDisposable
{
    // Of 256 columns, as the codebook types need.
    private const string Weight = "blk.1.ffn_down.weight";

    private readonly NativeRuntime _runtime = NativeRuntime.Create(1);
    private readonly string _folder = TinyGguf.NewFolder();

    public void Dispose()
    {
        _runtime.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private static float[] Sums(int columns) =>
        [.. Enumerable.Range(0, columns).Select(i => 30f * (1 + i * 7919 % 97) / 97)];

    /// <summary>As llama-imatrix writes it; counts of 3.</summary>
    private string Gguf(
        Action<GgufMetadata>? change = null,
        float count = 3,
        params (string Name, float[] Sums, long Matrices)[] entries
    )
    {
        var metadata = new GgufMetadata("imatrix");
        metadata.Set("general.type", GgufValue.Of("imatrix"));
        metadata.Set("imatrix.datasets", GgufValue.Of(["calibration.txt"]));
        metadata.Set("imatrix.chunk_count", GgufValue.Of(12u));
        metadata.Set("imatrix.chunk_size", GgufValue.Of(512u));
        change?.Invoke(metadata);
        var path = At($"{Guid.NewGuid():n}.gguf");
        using var writer = new GgufWriter(path, metadata);
        foreach (var (name, sums, matrices) in entries)
        {
            writer.AddTensor(name + ".in_sum2", GgmlType.F32, [sums.Length / matrices, matrices]);
            writer.AddTensor(name + ".counts", GgmlType.F32, [1, matrices]);
        }
        foreach (var (name, sums, matrices) in entries)
        {
            writer.Write(name + ".in_sum2", MemoryMarshal.AsBytes<float>(sums));
            var counts = Enumerable.Repeat(count, (int)matrices).ToArray();
            writer.Write(name + ".counts", MemoryMarshal.AsBytes<float>(counts));
        }
        writer.Complete();
        return path;
    }

    private string Legacy(bool tail, params (string Name, int Calls, float[] Values)[] entries)
    {
        var path = At($"{Guid.NewGuid():n}.dat");
        using var file = new BinaryWriter(File.Create(path));
        file.Write(entries.Length);
        foreach (var (name, calls, values) in entries)
        {
            var bytes = Encoding.UTF8.GetBytes(name);
            file.Write(bytes.Length);
            file.Write(bytes);
            file.Write(calls);
            file.Write(values.Length);
            file.Write(MemoryMarshal.AsBytes<float>(values));
        }
        if (tail)
        {
            file.Write(12);
            file.Write(4);
            file.Write("text"u8);
        }
        return path;
    }

    private (byte[] Blocks, float[] Values) Quantize(GgmlType type, string? imatrix)
    {
        using var model = BaseModel.Open(new TinyGguf(nFf: 256).Write(), _runtime);
        var importance = imatrix == null ? null : ImportanceMatrix.Read(imatrix);
        importance?.CheckModel(model.File);
        TypeOverride[] overrides = [new("ffn_down", type)];
        var weights = new UnchangedWeights();
        var plans = TypePlan.For(model.File, null, weights, overrides, importance);
        var path = At($"{Guid.NewGuid():n}.gguf");
        var metadata = MergedFile.Metadata(model.File, null, importance);
        MergedContent content = new(model.File, metadata, plans, weights, importance);
        MergedFile.Write(path, content, overwrite: false, _ => { }, default);
        using var file = GgufFile.Open(path);
        var values = MemoryMarshal.Cast<byte, float>(model.File.Data(model.File.Find(Weight)!)).ToArray();
        return (file.Data(file.Find(Weight)!).ToArray(), values);
    }

    private static (string, float[], long)[] BothLayers() =>
        [("blk.0.ffn_down.weight", Sums(256), 1), (Weight, [.. Sums(256).Reverse()], 1)];

    [Theory]
    [InlineData(GgmlType.Q4_0)]
    [InlineData(GgmlType.Q4_1)]
    [InlineData(GgmlType.Q5_0)]
    [InlineData(GgmlType.Q5_1)]
    [InlineData(GgmlType.Q2_K)]
    [InlineData(GgmlType.Q3_K)]
    [InlineData(GgmlType.Q4_K)]
    [InlineData(GgmlType.Q5_K)]
    [InlineData(GgmlType.Q6_K)]
    [InlineData(GgmlType.IQ4_NL)]
    [InlineData(GgmlType.IQ4_XS)]
    [InlineData(GgmlType.IQ3_S)]
    [InlineData(GgmlType.IQ3_XXS)]
    [InlineData(GgmlType.IQ2_S)]
    [InlineData(GgmlType.IQ2_XS)]
    [InlineData(GgmlType.IQ2_XXS)]
    [InlineData(GgmlType.IQ1_M)]
    [InlineData(GgmlType.IQ1_S)]
    public void Blocks_are_those_of_libggml_with_the_same_columns(GgmlType type)
    {
        var (blocks, values) = Quantize(type, Gguf(entries: BothLayers()));
        var importance = Sums(256).Reverse().Select(sum => sum / 3).ToArray();
        var expected = new byte[blocks.Length];
        Quantizer.Quantize(type, values, 256, expected, importance);
        blocks.ShouldBe(expected);
        if (Quantizer.RequiresImportance(type))
        {
            var error = Should.Throw<SlimmingException>(() => Quantize(type, null));
            error.Code.ShouldBe(ExitCode.Usage);
            error.Message.ShouldContain("'blk.0.ffn_down.weight'");
            error.Message.ShouldContain($"{GgmlTypes.Name(type)} needs an importance matrix");
            error.Message.ShouldContain("--imatrix");
        }
        else
        {
            blocks.ShouldNotBe(Quantize(type, null).Blocks);
        }
    }

    [Fact]
    public void Both_forms_of_the_file_say_the_same()
    {
        var sums = Sums(256);
        var gguf = ImportanceMatrix.Read(Gguf(entries: [(Weight, sums, 1)]));
        var legacy = ImportanceMatrix.Read(Legacy(tail: true, (Weight, 3, sums)));
        var bare = ImportanceMatrix.Read(Legacy(tail: false, (Weight, 3, sums)));
        var expected = sums.Select(s => s / 3).ToArray();
        foreach (var matrix in new[] { gguf, legacy, bare })
        {
            matrix.Count.ShouldBe(1);
            matrix.Of(Weight).ShouldBe(expected);
            matrix.Of("blk.0.ffn_down.weight").ShouldBeNull();
        }
        (gguf.Chunks, gguf.Datasets.Single()).ShouldBe((12, "calibration.txt"));
        (legacy.Chunks, legacy.Datasets.Single()).ShouldBe((12, "text"));
        (bare.Chunks, bare.Datasets.Count).ShouldBe((null, 0));
        // Nothing was measured: every column counts alike.
        ImportanceMatrix.Read(Gguf(count: 0, entries: [(Weight, sums, 1)])).Of(Weight)!.ShouldAllBe(v => v == 1);
        ImportanceMatrix.Read(Legacy(tail: false, (Weight, 0, sums))).Of(Weight).ShouldBe(sums);
    }

    [Fact]
    public void What_it_was_used_for_is_recorded_and_listed()
    {
        using var model = GgufFile.Open(new TinyGguf(nFf: 256).Write());
        var importance = ImportanceMatrix.Read(Gguf(entries: BothLayers()[..1]));
        var metadata = MergedFile.Metadata(model, GgmlType.Q4_K, importance);
        metadata.GetString("quantize.imatrix.file").ShouldBe(Path.GetFileName(importance.Path));
        metadata.GetString("quantize.imatrix.dataset").ShouldBe("calibration.txt");
        metadata.GetInteger("quantize.imatrix.entries_count").ShouldBe(1);
        metadata.GetInteger("quantize.imatrix.chunks_count").ShouldBe(12);
        var plans = TypePlan.For(model, GgmlType.Q4_K, new UnchangedWeights(), [], importance);
        plans.Where(p => p.UsesImportance).Select(p => p.Source.Name).ShouldContain(Weight);
        foreach (var type in new GgmlType?[] { null, GgmlType.F16, GgmlType.Q8_0 })
        {
            Should
                .Throw<SlimmingException>(() => TypePlan.For(model, type, new UnchangedWeights(), [], importance))
                .Message.ShouldContain("found none in this export");
        }
    }

    public static TheoryData<string, string[]> Wrong =>
        new()
        {
            { "type", ["'general.type'", "'imatrix'", "'model'"] },
            { "no entries", ["in_sum2", "none"] },
            { "no counts", ["'a.counts'", "does not have it"] },
            { "no sums", ["'a.in_sum2'", "does not have it"] },
            { "too few counts", [$"'{Weight}.counts'", "expected 2 values", "found 1"] },
            { "f16", [$"'{Weight}.in_sum2'", "expected type f32, found f16"] },
            { "NaN", [$"entry '{Weight}', value 7", "expected a mean square from 0", "NaN"] },
            { "negative", [$"entry '{Weight}', value 7", "found -1"] },
            { "count of NaN", [$"'{Weight}.counts', value 0", "expected a count from 0, found NaN"] },
            { "another row length", [$"entry '{Weight}'", "expected 256 columns", "found 96", "another model"] },
            { "experts", [$"entry '{Weight}'", "expected one matrix", "found 2"] },
            { "another model", ["expected names of tensors", "'blk.9.attn_x.weight'"] },
            { "legacy, text", ["byte 0, count of entries", "llama-imatrix"] },
            { "legacy, huge count", ["byte 0, count of entries", "found 1000000000"] },
            { "legacy, cut", ["count of values", "the rest can hold"] },
            { "legacy, name", ["entry 0, name", "expected UTF-8"] },
            { "legacy, long name", ["entry 0, name, length (byte 4)", "found 2147483647"] },
            { "legacy, twice", [$"entry '{Weight}'", "it a second time"] },
            { "empty", ["at least 24 bytes, found 0 bytes"] },
        };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void An_unsound_file_or_one_of_another_model_is_named(string what, string[] texts)
    {
        var path = Broken(what);
        var error = Should.Throw<SlimmingException>(() =>
        {
            using var model = GgufFile.Open(new TinyGguf(nFf: 256).Write());
            ImportanceMatrix.Read(path).CheckModel(model);
        });
        error.Code.ShouldBe(ExitCode.Usage);
        foreach (var text in texts.Append(path))
        {
            error.Message.ShouldContain(text, Case.Sensitive);
        }
    }

    private string Broken(string what)
    {
        var bad = Sums(256);
        bad[7] = what == "NaN" ? float.NaN : -3;
        return what switch
        {
            "type" => Gguf(m => m.Set("general.type", GgufValue.Of("model")), entries: (Weight, Sums(256), 1)),
            "no entries" => Tensors(("a", GgmlType.F32, [4])),
            "no counts" => Tensors(("a.in_sum2", GgmlType.F32, [4, 1])),
            "no sums" => Tensors(("a.counts", GgmlType.F32, [1, 1])),
            "too few counts" => Tensors(
                (Weight + ".in_sum2", GgmlType.F32, [256, 2]),
                (Weight + ".counts", GgmlType.F32, [1, 1])
            ),
            "f16" => Tensors((Weight + ".in_sum2", GgmlType.F16, [256, 1]), (Weight + ".counts", GgmlType.F32, [1, 1])),
            "NaN" or "negative" => Gguf(entries: (Weight, bad, 1)),
            "count of NaN" => Gguf(count: float.NaN, entries: (Weight, Sums(256), 1)),
            "another row length" => Gguf(entries: (Weight, Sums(96), 1)),
            "experts" => Gguf(entries: (Weight, Sums(512), 2)),
            "another model" => Gguf(entries: ("blk.9.attn_x.weight", Sums(256), 1)),
            "legacy, text" => Bytes([.. "hello, this is text"u8]),
            "legacy, huge count" => Bytes([.. BitConverter.GetBytes(1_000_000_000), .. new byte[64]]),
            "legacy, cut" => Bytes(File.ReadAllBytes(Legacy(false, (Weight, 1, Sums(256))))[..^8]),
            "legacy, name" => Legacy(false, ("\0\0\0", 1, [1])) is var p ? Bytes(Spoil(p)) : p,
            "legacy, long name" => Bytes([1, 0, 0, 0, 255, 255, 255, 127, .. new byte[32]]),
            "legacy, twice" => Legacy(false, (Weight, 1, Sums(256)), (Weight, 1, Sums(256))),
            _ => Bytes([]),
        };
    }

    private static byte[] Spoil(string path)
    {
        var bytes = File.ReadAllBytes(path);
        bytes[8] = 0xFF;
        return bytes;
    }

    private string Bytes(byte[] bytes)
    {
        var path = At($"{Guid.NewGuid():n}.bin");
        File.WriteAllBytes(path, bytes);
        return path;
    }

    private string Tensors(params (string Name, GgmlType Type, long[] Shape)[] tensors)
    {
        var metadata = new GgufMetadata("imatrix");
        metadata.Set("general.type", GgufValue.Of("imatrix"));
        var path = At($"{Guid.NewGuid():n}.gguf");
        using var writer = new GgufWriter(path, metadata);
        foreach (var (name, type, shape) in tensors)
        {
            writer.AddTensor(name, type, shape);
        }
        foreach (var (name, type, shape) in tensors)
        {
            writer.Write(
                name,
                new byte[GgmlTypes.RowBytes(type, shape[0]) * shape.Skip(1).Aggregate(1L, (a, b) => a * b)]
            );
        }
        writer.Complete();
        return path;
    }
}
