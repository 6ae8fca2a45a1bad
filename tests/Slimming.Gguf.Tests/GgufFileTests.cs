using Slimming.TestSupport;

namespace Slimming.Gguf.Tests;

public class GgufFileTests
{
    [Theory]
    [InlineData(2u)]
    [InlineData(3u)]
    public void Reads_metadata_and_tensors(uint version)
    {
        var bytes = TestGguf.Small();
        bytes[4] = (byte)version;
        using var file = TestGguf.Open(bytes);

        file.Version.ShouldBe(version);
        file.Alignment.ShouldBe(32u);
        file.Metadata.GetString("general.architecture").ShouldBe("llama");
        file.Metadata.GetStrings("list").ShouldBe(["a", "bß"]);
        file.Metadata.TryGet("some.unknown.key", out var bools).ShouldBeTrue();
        bools.TryIntegers(out var values).ShouldBeTrue();
        values.ShouldBe([1L, 0, 1]);
        var a = file.Find("a.weight").ShouldNotBeNull();
        a.Shape.ShouldBe([4L, 2]);
        (a.RowLength, a.RowCount, a.ByteCount).ShouldBe((4L, 2L, 32L));
        file.Data(a)[31].ShouldBe((byte)31);
        file.Find("c").ShouldBeNull();
    }

    [Fact]
    public void Keeps_an_unknown_tensor_type_with_the_bytes_up_to_the_next_tensor()
    {
        using var file = TestGguf.Open(TestGguf.Small());
        var b = file.Find("b.weight").ShouldNotBeNull();
        ((uint)b.Type).ShouldBe(999u);
        GgmlTypes.Name(b.Type).ShouldBe("type_999");
        b.ByteCount.ShouldBe(32);
        file.Data(b)[0].ShouldBe((byte)99);
    }

    [Fact]
    public void A_file_cut_at_any_byte_is_refused_or_reads_within_its_bounds()
    {
        var whole = TestGguf.Small();
        var path = TestGguf.NewPath();
        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            // The data of an unknown type has no size of its own: cut there, fewer bytes are left of it.
            if (length >= whole.Length - 32)
            {
                using var cut = GgufFile.Open(path);
                cut.Find("b.weight")!.ByteCount.ShouldBe(length - (whole.Length - 32));
                continue;
            }
            var error = Should.Throw<GgufException>(() => GgufFile.Open(path), $"cut at {length}");
            error.Message.ShouldStartWith(path);
            error.Code.ShouldBe(ExitCode.Usage);
        }
    }

    [Fact]
    public void A_changed_byte_never_leads_out_of_the_file()
    {
        var whole = TestGguf.Small();
        var path = TestGguf.NewPath();
        for (var at = 0; at < whole.Length; at++)
        {
            foreach (var flip in new byte[] { 0x01, 0x80, 0xff })
            {
                var bytes = (byte[])whole.Clone();
                bytes[at] ^= flip;
                File.WriteAllBytes(path, bytes);
                try
                {
                    using var file = GgufFile.Open(path);
                    foreach (var tensor in file.Tensors)
                    {
                        (file.DataOffset + (long)tensor.Offset + tensor.ByteCount).ShouldBeLessThanOrEqualTo(
                            bytes.Length
                        );
                        _ = file.Data(tensor).ToArray();
                    }
                }
                catch (GgufException e)
                {
                    e.Message.ShouldStartWith(path);
                }
            }
        }
    }

    public static TheoryData<string, byte[], string> Hostile() =>
        new()
        {
            { "magic", TestGguf.Head(0, 0).ToArray().Select((b, i) => i == 0 ? (byte)'g' : b).ToArray(), "magic" },
            { "version 1", TestGguf.Head(0, 0, 1).ToArray(), "found 1" },
            { "version 4", TestGguf.Head(0, 0, 4).ToArray(), "found 4" },
            { "big endian", TestGguf.Head(0, 0, 0x03000000).ToArray(), "big-endian file of version 3" },
            { "tensor count", TestGguf.Head(ulong.MaxValue, 0).ToArray(), "tensor count" },
            { "pair count", TestGguf.Head(0, 1UL << 60).ToArray(), "metadata count" },
            {
                "key length",
                TestGguf.Head(0, 1).U64(1UL << 63).Raw(new byte[20]).ToArray(),
                "length of 9223372036854775808"
            },
            { "empty key", TestGguf.Head(0, 1).Text("").U32(0).Raw(new byte[20]).ToArray(), "found 0 characters" },
            { "key with NUL", TestGguf.Head(0, 1).Text("a\0b").U32(0).Raw(1).ToArray(), "control characters" },
            { "value type", TestGguf.Head(0, 1).Text("k").U32(13).Raw(new byte[8]).ToArray(), "found 13" },
            { "bool", TestGguf.Head(0, 1).Text("k").U32(7).Raw(2).ToArray(), "a bool of 0 or 1, found 2" },
            { "not UTF-8", TestGguf.Head(0, 1).Text("k").U32(8).U64(2).Raw(0xc3, 0x28).ToArray(), "UTF-8" },
            {
                "array count",
                TestGguf.Head(0, 1).Text("k").U32(9).U32(4).U64(1UL << 62).Raw(1).ToArray(),
                "array length"
            },
            { "array element", TestGguf.Head(0, 1).Text("k").U32(9).U32(77).U64(1).Raw(1).ToArray(), "found 77" },
            {
                "twice the key",
                TestGguf.Head(0, 2).Text("k").U32(0).Raw(1).Text("k").U32(0).Raw(1).ToArray(),
                "second time"
            },
            { "alignment 0", TestGguf.Head(0, 1).Text("general.alignment").U32(4).U32(0).ToArray(), "power of two" },
            {
                "alignment 24",
                TestGguf.Head(0, 1).Text("general.alignment").U32(4).U32(24).ToArray(),
                "found UInt32 24"
            },
            {
                "alignment text",
                TestGguf.Head(0, 1).Text("general.alignment").U32(8).Text("32").ToArray(),
                "found String 32"
            },
            { "5 dimensions", TestGguf.Head(1, 0).Tensor("t", 0, 0, 1, 1, 1, 1, 1).ToArray(), "at most 4 dimensions" },
            { "dimension 0", TestGguf.Head(1, 0).Tensor("t", 0, 0, 4, 0).ToArray(), "dimension 1" },
            { "product", TestGguf.Head(1, 0).Tensor("t", 0, 0, 1UL << 40, 1UL << 40).ToArray(), "63 bits" },
            {
                "row of q4_0",
                TestGguf.Head(1, 0).Tensor("t", 2, 0, 33).Align(32).Raw(new byte[64]).ToArray(),
                "multiple of 32"
            },
            {
                "huge",
                TestGguf.Head(1, 0).Tensor("t", 0, 0, 1UL << 61).Align(32).Raw(new byte[64]).ToArray(),
                "bytes by its shape"
            },
            {
                "offset alignment",
                TestGguf.Head(1, 0).Tensor("t", 0, 4, 1).Align(32).Raw(new byte[64]).ToArray(),
                "multiple of 32, found 4"
            },
            {
                "out of file",
                TestGguf.Head(1, 0).Tensor("t", 0, 64, 1).Align(32).Raw(new byte[64]).ToArray(),
                "truncated"
            },
            {
                "offset near 2^64",
                TestGguf.Head(1, 0).Tensor("t", 0, ulong.MaxValue - 31, 1).Align(32).Raw(new byte[64]).ToArray(),
                "truncated"
            },
            {
                "twice the tensor",
                TestGguf.Head(2, 0).Tensor("t", 0, 0, 1).Tensor("t", 0, 32, 1).Align(32).Raw(new byte[64]).ToArray(),
                "second time"
            },
            {
                "overlap",
                TestGguf.Head(2, 0).Tensor("t", 0, 0, 9).Tensor("u", 0, 32, 1).Align(32).Raw(new byte[64]).ToArray(),
                "'t' ends"
            },
            {
                "same place",
                TestGguf.Head(2, 0).Tensor("t", 0, 0, 1).Tensor("u", 0, 0, 1).Align(32).Raw(new byte[64]).ToArray(),
                "'t' ends"
            },
        };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void Hostile_headers_are_refused(string what, byte[] bytes, string expected)
    {
        var error = Should.Throw<GgufException>(() => TestGguf.Open(bytes), what);
        error.Message.ShouldContain(expected);
    }

    [Fact]
    public void Nested_arrays_are_kept_but_not_without_end()
    {
        var nested = TestGguf.Head(0, 1).Text("k").U32(9).U32(9).U64(1).U32(4).U64(2).U32(5).U32(6);
        using (var file = nested.Open())
        {
            file.Metadata.TryGet("k", out var value).ShouldBeTrue();
            value.ElementType.ShouldBe(GgufValueType.Array);
        }
        var deep = TestGguf.Head(0, 1).Text("k").U32(9);
        for (var i = 0; i < 100_000; i++)
        {
            deep.U32(9).U64(1);
        }
        Should.Throw<GgufException>(() => deep.Open()).Message.ShouldContain("nested");
    }

    [Fact]
    public void Absent_and_wrong_files_are_named()
    {
        var path = TestGguf.NewPath();
        Should.Throw<GgufException>(() => GgufFile.Open(path)).Message.ShouldContain("no such file");
        Should
            .Throw<GgufException>(() => GgufFile.Open(Path.GetDirectoryName(path)!))
            .Message.ShouldContain("a folder");
        File.WriteAllText(path, "");
        Should.Throw<GgufException>(() => GgufFile.Open(path)).Message.ShouldContain("0 bytes");
    }

    [Fact]
    public void Metadata_errors_name_file_key_and_type()
    {
        using var file = TestGguf.Open(TestGguf.Small());
        Should
            .Throw<GgufException>(() => file.Metadata.GetInteger("llama.block_count"))
            .Message.ShouldContain("key 'llama.block_count'");
        Should
            .Throw<GgufException>(() => file.Metadata.GetInteger("general.architecture", 3))
            .Message.ShouldContain("expected an integer, found String llama");
        file.Metadata.GetInteger("absent", 3).ShouldBe(3);
    }

    [Fact]
    public void A_closed_file_gives_no_bytes()
    {
        var file = TestGguf.Open(TestGguf.Small());
        var tensor = file.Tensors[0];
        file.Dispose();
        Should.Throw<ObjectDisposedException>(() => file.Data(tensor).Length);
        file.Dispose();
    }

    [Fact]
    public void Slices_stay_within_their_tensor()
    {
        using var file = TestGguf.Open(TestGguf.Small());
        var tensor = file.Tensors[0];
        file.Slice(tensor, 30, 2).ToArray().ShouldBe([(byte)30, 31]);
        Should.Throw<ArgumentOutOfRangeException>(() => file.Slice(tensor, 30, 3).Length);
        Should.Throw<ArgumentOutOfRangeException>(() => file.Slice(tensor, 33, 0).Length);
    }

    [Fact]
    public void Reads_every_reference_model()
    {
        var folder = SharedFiles.Require("fixtures/arch");
        var files = Directory.GetFiles(folder, "*.gguf", SearchOption.AllDirectories);
        files.Length.ShouldBeGreaterThanOrEqualTo(45);
        foreach (var path in files)
        {
            using var file = GgufFile.Open(path);
            file.Tensors.ShouldNotBeEmpty(path);
            file.Tensors.Sum(t => t.ByteCount).ShouldBeLessThan(file.Length);
        }
    }
}
