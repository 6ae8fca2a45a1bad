using System.Buffers.Binary;
using System.Text;
using Slimming.TestSupport;

namespace Slimming.Gguf.Tests;

/// <summary>Builds files byte by byte, so that a test can make any field wrong.</summary>
internal sealed class TestGguf
{
    private readonly List<byte> _bytes = [];

    public static string NewPath() => Path.Combine(ScratchFolder.New(), "test.gguf");

    public static TestGguf Head(ulong nTensors, ulong nPairs, uint version = 3) =>
        new TestGguf().U32(0x46554747).U32(version).U64(nTensors).U64(nPairs);

    /// <summary>Two keys and two tensors, one of them with an unknown type.</summary>
    public static byte[] Small() =>
        Head(2, 3)
            .Text("general.architecture")
            .U32(8)
            .Text("llama")
            .Text("some.unknown.key")
            .U32(9)
            .U32(7)
            .U64(3)
            .Raw(1, 0, 1)
            .Text("list")
            .U32(9)
            .U32(8)
            .U64(2)
            .Text("a")
            .Text("bß")
            .Tensor("a.weight", 0, 0, 4, 2)
            .Tensor("b.weight", 999, 32, 5)
            .Align(32)
            .Raw(Enumerable.Range(0, 32).Select(i => (byte)i).ToArray())
            .Raw(Enumerable.Range(0, 32).Select(i => (byte)(99 + i)).ToArray())
            .ToArray();

    public TestGguf U32(uint value)
    {
        Span<byte> raw = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(raw, value);
        _bytes.AddRange(raw);
        return this;
    }

    public TestGguf U64(ulong value)
    {
        Span<byte> raw = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(raw, value);
        _bytes.AddRange(raw);
        return this;
    }

    public TestGguf Text(string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        return U64((ulong)utf8.Length).Raw(utf8);
    }

    public TestGguf Raw(params byte[] raw)
    {
        _bytes.AddRange(raw);
        return this;
    }

    public TestGguf Tensor(string name, uint type, ulong offset, params ulong[] shape)
    {
        Text(name).U32((uint)shape.Length);
        foreach (var ne in shape)
        {
            U64(ne);
        }
        return U32(type).U64(offset);
    }

    public TestGguf Align(int alignment)
    {
        while (_bytes.Count % alignment != 0)
        {
            _bytes.Add(0);
        }
        return this;
    }

    public byte[] ToArray() => _bytes.ToArray();

    public GgufFile Open() => Open(ToArray());

    public static GgufFile Open(byte[] bytes)
    {
        var path = NewPath();
        File.WriteAllBytes(path, bytes);
        return GgufFile.Open(path);
    }
}
