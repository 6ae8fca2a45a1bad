using System.Runtime.InteropServices;

namespace Slimming.Gguf.Tests;

/// <summary>Files beyond 4 GiB: sparse where they are only read, so that they take no room.</summary>
public sealed class LargeFileTests : IDisposable
{
    // 5 GiB of bytes, then a tensor of four values.
    private const long Rows = 5 * 1024;
    private const long RowBytes = 1 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("gguf-test").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string At(string name) => Path.Combine(_folder, name);

    private string Sparse(uint version)
    {
        var path = At($"v{version}.gguf");
        var header = TestGguf
            .Head(2, 1, version)
            .Text("general.architecture")
            .U32(8)
            .Text("llama")
            .Tensor("big", (uint)GgmlType.I8, 0, (ulong)RowBytes, (ulong)Rows)
            .Tensor("after", (uint)GgmlType.F32, (ulong)(Rows * RowBytes), 4)
            .Align(32)
            .ToArray();
        using var file = File.Create(path);
        file.Write(header);
        file.SetLength(header.Length + Rows * RowBytes + 16);
        file.Position = header.Length + Rows * RowBytes - 1;
        file.WriteByte(77);
        file.Write(MemoryMarshal.AsBytes<float>([1, -2, 3.5f, 4]));
        return path;
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(3u)]
    public void Tensors_behind_4_GiB_are_read(uint version)
    {
        using var file = GgufFile.Open(Sparse(version));
        file.Length.ShouldBeGreaterThan(5L << 30);
        var big = file.Find("big").ShouldNotBeNull();
        (big.ByteCount, big.ValueCount, big.RowCount).ShouldBe((Rows * RowBytes, Rows * RowBytes, Rows));
        file.Slice(big, big.ByteCount - 1, 1)[0].ShouldBe((byte)77);
        file.Slice(big, (4L << 30) + 5, 3).ToArray().ShouldBe(new byte[3]);
        var after = file.Find("after").ShouldNotBeNull();
        after.Offset.ShouldBe((ulong)(Rows * RowBytes));
        file.Floats(after).ToArray().ShouldBe([1, -2, 3.5f, 4]);
    }

    [Fact]
    public void A_cut_of_one_byte_is_seen()
    {
        var path = Sparse(3);
        using (var file = File.OpenWrite(path))
        {
            file.SetLength(file.Length - 1);
        }
        Should.Throw<GgufException>(() => GgufFile.Open(path)).Message.ShouldContain("'after'");
    }

    [Fact]
    public void A_writer_counts_beyond_4_GiB()
    {
        using var writer = new GgufWriter(At("w.gguf"), new GgufMetadata("w"));
        writer.AddTensor("big", GgmlType.Q4_0, [32 * 1024, 300 * 1024]);
        writer.AddTensor("after", GgmlType.F32, [4]);
        writer.FileBytes.ShouldBeInRange(300L * 1024 * 1024 * 18, 300L * 1024 * 1024 * 18 + 1024);
    }

    /// <summary>Really written: 4.1 GiB of disk.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public void A_file_beyond_4_GiB_is_written_and_read_again()
    {
        const long rows = 4200;
        var row = new byte[RowBytes];
        using (var writer = new GgufWriter(At("w.gguf"), new GgufMetadata("w")))
        {
            writer.AddTensor("big", GgmlType.I8, [RowBytes, rows]);
            writer.AddTensor("after", GgmlType.F32, [4]);
            for (long i = 0; i < rows; i++)
            {
                row[5] = (byte)(i % 251);
                writer.Write("big", row);
            }
            writer.Write("after", MemoryMarshal.AsBytes<float>([1, -2, 3.5f, 4]));
            writer.Complete();
        }
        using var file = GgufFile.Open(At("w.gguf"));
        var big = file.Find("big")!;
        file.Slice(big, (rows - 1) * RowBytes + 5, 1)[0].ShouldBe((byte)((rows - 1) % 251));
        file.Floats(file.Find("after")!).ToArray().ShouldBe([1, -2, 3.5f, 4]);
    }
}
