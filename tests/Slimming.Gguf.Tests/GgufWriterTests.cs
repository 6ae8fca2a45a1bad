using Slimming.TestSupport;

namespace Slimming.Gguf.Tests;

public class GgufWriterTests
{
    private static void Copy(GgufFile file, string path, bool overwrite = false, int chunk = 7)
    {
        using var writer = new GgufWriter(path, file.Metadata, overwrite, file.Version);
        foreach (var tensor in file.Tensors)
        {
            writer.AddTensor(tensor.Name, tensor.Type, tensor.Shape, tensor.ByteCount);
        }
        foreach (var tensor in file.Tensors)
        {
            for (long at = 0; at < tensor.ByteCount; at += chunk)
            {
                writer.Write(tensor.Name, file.Slice(tensor, at, Math.Min(chunk, tensor.ByteCount - at)));
            }
        }
        var planned = writer.FileBytes;
        writer.Complete();
        new FileInfo(path).Length.ShouldBe(planned);
    }

    [Theory]
    [InlineData((byte)2)]
    [InlineData((byte)3)]
    public void A_copy_is_equal_byte_for_byte_with_unknown_keys_and_types(byte version)
    {
        var bytes = TestGguf.Small();
        bytes[4] = version;
        using var file = TestGguf.Open(bytes);
        var path = TestGguf.NewPath();
        Copy(file, path);
        File.ReadAllBytes(path).ShouldBe(bytes);
        File.Exists(path + ".partial").ShouldBeFalse();
    }

    [Fact]
    public void Copies_of_reference_models_are_equal_byte_for_byte()
    {
        foreach (var name in new[] { "llama/model-q4_0.gguf", "gemma3/model-f32.gguf", "qwen2/logits.gguf" })
        {
            var source = SharedFiles.Require($"fixtures/arch/{name}");
            using var file = GgufFile.Open(source);
            var path = TestGguf.NewPath();
            Copy(file, path, chunk: 65_536);
            File.ReadAllBytes(path).SequenceEqual(File.ReadAllBytes(source)).ShouldBeTrue(name);
        }
    }

    [Fact]
    public void Every_value_type_comes_back()
    {
        var metadata = new GgufMetadata("new");
        metadata.Set("i32", GgufValue.Of(-5));
        metadata.Set("u32", GgufValue.Of(5u));
        metadata.Set("i64", GgufValue.Of(-5_000_000_000L));
        metadata.Set("u64", GgufValue.Of(ulong.MaxValue));
        metadata.Set("f32", GgufValue.Of(1.5f));
        metadata.Set("f64", GgufValue.Of(0.1));
        metadata.Set("bool", GgufValue.Of(true));
        metadata.Set("text", GgufValue.Of("größer"));
        metadata.Set("texts", GgufValue.Of(["", "x"]));
        metadata.Set("ints", GgufValue.Of([1, -2]));
        metadata.Set("floats", GgufValue.Of([0.5f]));
        metadata.Set("general.alignment", GgufValue.Of(64u));
        var path = TestGguf.NewPath();
        using (var writer = new GgufWriter(path, metadata))
        {
            writer.AddTensor("t", GgmlType.F32, [3]);
            writer.AddTensor("u", GgmlType.Q8_0, [32, 2]);
            writer.Write("t", new byte[12]);
            writer.Write("u", new byte[68]);
            writer.Complete();
        }
        using var file = GgufFile.Open(path);
        file.Alignment.ShouldBe(64u);
        file.Find("u")!.Offset.ShouldBe(64UL);
        file.Metadata.GetInteger("i32").ShouldBe(-5);
        file.Metadata.GetInteger("u32").ShouldBe(5);
        file.Metadata.GetInteger("i64").ShouldBe(-5_000_000_000L);
        Should
            .Throw<GgufException>(() => file.Metadata.GetInteger("u64"))
            .Message.ShouldContain("18446744073709551615");
        file.Metadata.GetFloat("f32").ShouldBe(1.5);
        file.Metadata.GetFloat("f64").ShouldBe(0.1);
        file.Metadata.GetBool("bool").ShouldBeTrue();
        file.Metadata.GetString("text").ShouldBe("größer");
        file.Metadata.GetStrings("texts").ShouldBe(["", "x"]);
        file.Metadata.TryGet("ints", out var ints).ShouldBeTrue();
        ints.TryIntegers(out var integers).ShouldBeTrue();
        integers.ShouldBe([1L, -2]);
        file.Metadata.TryGet("floats", out var floats).ShouldBeTrue();
        floats.TryFloats(out var halves).ShouldBeTrue();
        halves.ShouldBe([0.5]);
        floats.TryIntegers(out _).ShouldBeFalse();
    }

    [Fact]
    public void Nothing_stays_of_an_unfinished_file()
    {
        var path = TestGguf.NewPath();
        using (var writer = new GgufWriter(path, new GgufMetadata(path)))
        {
            writer.AddTensor("t", GgmlType.F32, [4]);
            writer.Write("t", new byte[8]);
            File.Exists(path + ".partial").ShouldBeTrue();
            Should.Throw<InvalidOperationException>(writer.Complete).Message.ShouldContain("'t' is missing");
        }
        Directory.GetFileSystemEntries(Path.GetDirectoryName(path)!).ShouldBeEmpty();
    }

    [Fact]
    public void Data_out_of_turn_or_too_long_is_an_error()
    {
        var path = TestGguf.NewPath();
        using var writer = new GgufWriter(path, new GgufMetadata(path));
        writer.AddTensor("t", GgmlType.F32, [4]);
        writer.AddTensor("u", GgmlType.F32, [4]);
        Should
            .Throw<GgufException>(() => writer.AddTensor("t", GgmlType.F32, [4]))
            .Message.ShouldContain("second time");
        Should.Throw<InvalidOperationException>(() => writer.Write("u", new byte[16]));
        Should.Throw<InvalidOperationException>(() => writer.Write("t", new byte[17]));
        writer.Write("t", new byte[16]);
        Should.Throw<InvalidOperationException>(() => writer.AddTensor("v", GgmlType.F32, [4]));
    }

    [Fact]
    public void An_existing_file_stays_unless_forced()
    {
        var path = TestGguf.NewPath();
        using var file = TestGguf.Open(TestGguf.Small());
        File.WriteAllText(path, "mine");
        var error = Should.Throw<SlimmingException>(() => Copy(file, path));
        error.Code.ShouldBe(ExitCode.Refused);
        error.Message.ShouldContain("--force");
        File.ReadAllText(path).ShouldBe("mine");
        Copy(file, path, overwrite: true);
        File.ReadAllBytes(path).ShouldBe(TestGguf.Small());
    }

    [Fact]
    public void An_unwritable_place_is_a_failure_with_the_path()
    {
        var path = Path.Combine(Path.GetDirectoryName(TestGguf.NewPath())!, "absent", "x.gguf");
        using var file = TestGguf.Open(TestGguf.Small());
        var error = Should.Throw<SlimmingException>(() => Copy(file, path));
        error.Code.ShouldBe(ExitCode.Failed);
        error.Message.ShouldContain(path);
    }
}
