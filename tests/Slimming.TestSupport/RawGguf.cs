using System.Buffers.Binary;
using System.Text;
using Slimming.Gguf;

namespace Slimming.TestSupport;

/// <summary>A key with its type number and the bytes behind it.</summary>
public sealed record RawPair(byte[] Key, uint Type, byte[] Value);

/// <summary>One entry of the tensor table and its data; the offset is from the start of the data section.</summary>
public sealed record RawTensor(byte[] Name, ulong[] Shape, uint Type, ulong Offset, byte[] Data);

/// <summary>A sound GGUF file taken apart, so that a test can make any field of it wrong. Nothing is checked when it is written.</summary>
public sealed class RawGguf
{
    public uint Magic { get; set; } = 0x46554747;

    public uint Version { get; set; } = 3;

    /// <summary>Null: as many as there are.</summary>
    public ulong? TensorCount { get; set; }

    /// <summary>Null: as many as there are.</summary>
    public ulong? PairCount { get; set; }

    public int Alignment { get; set; } = 32;

    public List<RawPair> Pairs { get; } = [];

    public List<RawTensor> Tensors { get; } = [];

    public static RawGguf Of(string path)
    {
        using var file = GgufFile.Open(path);
        RawGguf raw = new();
        raw.Pairs.AddRange(file.Metadata.Select(p => Pair(p.Key, p.Value)));
        raw.Tensors.AddRange(
            file.Tensors.Select(t => new RawTensor(
                Encoding.UTF8.GetBytes(t.Name),
                [.. t.Shape.Select(n => (ulong)n)],
                (uint)t.Type,
                t.Offset,
                file.Data(t).ToArray()
            ))
        );
        return raw;
    }

    public RawGguf Set(string key, GgufValue value) => Set(Pair(key, value));

    /// <summary>A text that need not be UTF-8.</summary>
    public RawGguf SetText(string key, params byte[] text) =>
        Set(new RawPair(Encoding.UTF8.GetBytes(key), 8, [.. BitConverter.GetBytes((ulong)text.Length), .. text]));

    public RawGguf Set(RawPair pair)
    {
        var at = Pairs.FindIndex(p => p.Key.AsSpan().SequenceEqual(pair.Key));
        if (at >= 0)
        {
            Pairs[at] = pair;
        }
        else
        {
            Pairs.Add(pair);
        }
        return this;
    }

    public RawGguf Remove(string key)
    {
        Pairs.RemoveAll(p => Encoding.UTF8.GetString(p.Key) == key);
        return this;
    }

    public RawGguf RemoveTensor(string name)
    {
        Tensors.RemoveAll(t => Encoding.UTF8.GetString(t.Name) == name);
        return this;
    }

    public RawGguf Change(string tensor, Func<RawTensor, RawTensor> change)
    {
        var at = Tensors.FindIndex(t => Encoding.UTF8.GetString(t.Name) == tensor);
        Tensors[at] = change(Tensors[at]);
        return this;
    }

    /// <summary>Puts <paramref name="bytes"/> into a tensor's data.</summary>
    public RawGguf Poke(string tensor, int at, params byte[] bytes) =>
        Change(
            tensor,
            t =>
            {
                var data = t.Data.ToArray();
                bytes.CopyTo(data, at);
                return t with { Data = data };
            }
        );

    /// <summary>Adds a tensor behind all others.</summary>
    public RawGguf Add(string name, GgmlType type, params ulong[] shape)
    {
        var bytes = GgmlTypes.RowBytes(type, (long)shape[0]) * (long)shape.Skip(1).Aggregate(1UL, (a, b) => a * b);
        var end = Tensors.Max(t => t.Offset + (ulong)t.Data.Length);
        var offset = (end + (ulong)Alignment - 1) / (ulong)Alignment * (ulong)Alignment;
        Tensors.Add(new RawTensor(Encoding.UTF8.GetBytes(name), shape, (uint)type, offset, new byte[bytes]));
        return this;
    }

    /// <summary>Gaps between tensors take no room on the disk.</summary>
    public string Write(string path)
    {
        var header = Header();
        var start = (header.Length + Alignment - 1L) / Alignment * Alignment;
        using var file = File.Create(path);
        file.Write(header);
        file.SetLength(start);
        foreach (var tensor in Tensors.Where(t => t.Offset < 1UL << 40))
        {
            file.Position = start + (long)tensor.Offset;
            file.Write(tensor.Data);
        }
        return path;
    }

    private byte[] Header()
    {
        var bytes = new List<byte>();
        Put32(bytes, Magic);
        Put32(bytes, Version);
        Put64(bytes, TensorCount ?? (ulong)Tensors.Count);
        Put64(bytes, PairCount ?? (ulong)Pairs.Count);
        foreach (var pair in Pairs)
        {
            Put64(bytes, (ulong)pair.Key.Length);
            bytes.AddRange(pair.Key);
            Put32(bytes, pair.Type);
            bytes.AddRange(pair.Value);
        }
        foreach (var tensor in Tensors)
        {
            Put64(bytes, (ulong)tensor.Name.Length);
            bytes.AddRange(tensor.Name);
            Put32(bytes, (uint)tensor.Shape.Length);
            foreach (var size in tensor.Shape)
            {
                Put64(bytes, size);
            }
            Put32(bytes, tensor.Type);
            Put64(bytes, tensor.Offset);
        }
        return [.. bytes];
    }

    private static RawPair Pair(string key, GgufValue value) =>
        new(Encoding.UTF8.GetBytes(key), (uint)value.Type, value.Raw.ToArray());

    private static void Put32(List<byte> bytes, uint value)
    {
        Span<byte> raw = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(raw, value);
        bytes.AddRange(raw);
    }

    private static void Put64(List<byte> bytes, ulong value)
    {
        Span<byte> raw = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(raw, value);
        bytes.AddRange(raw);
    }
}
