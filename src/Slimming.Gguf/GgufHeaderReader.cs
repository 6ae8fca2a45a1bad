using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace Slimming.Gguf;

/// <summary>
/// Reads the header of untrusted bytes. Every count is bounded by the bytes that are left before anything is allocated
/// for it.
/// </summary>
internal sealed unsafe class GgufHeaderReader
{
    /// <summary>Magic, version, two counts.</summary>
    public const int MinBytes = 24;

    private const uint Magic = 0x46554747; // "GGUF"
    private const string AlignmentKey = "general.alignment";
    private const uint DefaultAlignment = 32;
    private const int MaxDims = 4;
    private const int MaxArrayDepth = 8;
    private const int MaxKeyBytes = 65535;

    // The fewest bytes one entry can take: length + 1 byte key + type + 1 byte value; length + 1 byte name + n_dims + type + offset.
    private const int MinPairBytes = 8 + 1 + 4 + 1;
    private const int MinTensorBytes = 8 + 1 + 4 + 4 + 8;

    private readonly string _file;
    private readonly byte* _start;
    private readonly long _length;
    private long _at;

    private GgufHeaderReader(string file, byte* start, long length)
    {
        _file = file;
        _start = start;
        _length = length;
    }

    public sealed record Header(
        uint Version,
        uint Alignment,
        GgufMetadata Metadata,
        IReadOnlyList<GgufTensor> Tensors,
        long DataOffset
    );

    public static Header Read(string file, byte* start, long length) =>
        new GgufHeaderReader(file, start, length).ReadHeader();

    private Header ReadHeader()
    {
        var magic = ReadUInt32("magic");
        if (magic != Magic)
        {
            throw new GgufException(_file, "byte 0", "the magic 'GGUF' (47475546)", $"{ByteSwapped(magic):x8}");
        }
        var version = ReadUInt32("version");
        if (version is not (2 or 3))
        {
            var bigEndian = BinaryPrimitives.ReverseEndianness(version) is > 0 and < 16;
            throw new GgufException(
                _file,
                "byte 4, version",
                "2 or 3 in little endian",
                bigEndian ? $"a big-endian file of version {ByteSwapped(version)}" : $"{version}"
            );
        }
        var nTensors = ReadCount("tensor count", MinTensorBytes);
        var nPairs = ReadCount("metadata count", MinPairBytes);
        var metadata = new GgufMetadata(_file);
        for (var i = 0; i < nPairs; i++)
        {
            ReadPair(metadata, i);
        }
        var alignment = ReadAlignment(metadata);
        var tensors = ReadTensorTable(nTensors, alignment);
        var dataOffset = tensors.Count == 0 ? Math.Min(Align(_at, alignment), _length) : Align(_at, alignment);
        return new Header(version, alignment, metadata, Place(tensors, dataOffset), dataOffset);
    }

    private void ReadPair(GgufMetadata metadata, int index)
    {
        var place = $"metadata entry {index}";
        var key = ReadName(place, MaxKeyBytes);
        if (metadata.Contains(key))
        {
            throw new GgufException(_file, $"key '{key}' (byte {_at})", "every key once", "it a second time");
        }
        place = $"key '{key}'";
        var type = ReadValueType(place);
        var begin = _at;
        SkipValue(type, place, 0);
        metadata.Set(key, new GgufValue(type, Bytes(begin, _at - begin, place).ToArray()));
    }

    private GgufValueType ReadValueType(string place)
    {
        var at = _at;
        var type = ReadUInt32(place);
        return type <= (uint)GgufValueType.Float64
            ? (GgufValueType)type
            : throw new GgufException(_file, $"{place} (byte {at})", "a value type of 0 to 12", $"{type}");
    }

    /// <summary>Walks one value, checking all of it.</summary>
    private void SkipValue(GgufValueType type, string place, int depth)
    {
        switch (type)
        {
            case GgufValueType.String:
                ReadString(place);
                break;
            case GgufValueType.Array:
                SkipArray(place, depth);
                break;
            case GgufValueType.Bool:
                SkipBools(1, place);
                break;
            default:
                Take(GgufValue.ScalarBytes(type), place);
                break;
        }
    }

    private void SkipArray(string place, int depth)
    {
        if (depth == MaxArrayDepth)
        {
            throw new GgufException(
                _file,
                $"{place} (byte {_at})",
                $"arrays nested at most {MaxArrayDepth} deep",
                "deeper"
            );
        }
        var element = ReadValueType(place);
        var size = GgufValue.ScalarBytes(element);
        var count = ReadCount($"{place}, array length", size > 0 ? size : 8);
        if (element == GgufValueType.Bool)
        {
            SkipBools(count, place);
        }
        else if (size > 0)
        {
            Take(count * size, place);
        }
        else
        {
            for (long i = 0; i < count; i++)
            {
                SkipValue(element, place, depth + 1);
            }
        }
    }

    private void SkipBools(long count, string place)
    {
        var at = _at;
        var bytes = Bytes(at, count, place);
        var bad = bytes.IndexOfAnyExcept((byte)0, (byte)1);
        if (bad >= 0)
        {
            throw new GgufException(_file, $"{place} (byte {at + bad})", "a bool of 0 or 1", $"{bytes[bad]}");
        }
        _at += count;
    }

    private uint ReadAlignment(GgufMetadata metadata)
    {
        if (!metadata.TryGet(AlignmentKey, out var value))
        {
            return DefaultAlignment;
        }
        if (
            value.Type == GgufValueType.UInt32
            && value.TryInteger(out var alignment)
            && BitOperations.IsPow2(alignment)
            && alignment <= int.MaxValue
        )
        {
            return (uint)alignment;
        }
        throw new GgufException(
            _file,
            $"key '{AlignmentKey}'",
            "a uint32 that is a power of two below 2^31",
            $"{value.Type} {value}"
        );
    }

    private List<GgufTensor> ReadTensorTable(long count, uint alignment)
    {
        var tensors = new List<GgufTensor>((int)Math.Min(count, int.MaxValue));
        var names = new HashSet<string>(StringComparer.Ordinal);
        for (long i = 0; i < count; i++)
        {
            var name = ReadName($"tensor {i}", MaxKeyBytes);
            var place = $"tensor '{name}'";
            if (!names.Add(name))
            {
                throw new GgufException(_file, $"{place} (byte {_at})", "every tensor once", "it a second time");
            }
            tensors.Add(ReadTensor(name, place, alignment));
        }
        return tensors;
    }

    private GgufTensor ReadTensor(string name, string place, uint alignment)
    {
        var nDims = ReadUInt32(place);
        if (nDims > MaxDims)
        {
            throw new GgufException(_file, place, $"at most {MaxDims} dimensions", $"{nDims}");
        }
        var shape = new long[nDims];
        long values = 1;
        for (var d = 0; d < shape.Length; d++)
        {
            var ne = ReadUInt64(place);
            if (ne == 0 || ne > long.MaxValue || (ulong)(long.MaxValue / values) < ne)
            {
                throw new GgufException(
                    _file,
                    $"{place}, dimension {d}",
                    "a size from 1 on whose product fits in 63 bits",
                    $"{ne}"
                );
            }
            shape[d] = (long)ne;
            values *= (long)ne;
        }
        var type = (GgmlType)ReadUInt32(place);
        var offset = ReadUInt64(place);
        if (offset % alignment != 0)
        {
            throw new GgufException(_file, $"{place}, offset", $"a multiple of {alignment}", $"{offset}");
        }
        return new GgufTensor(name, type, shape, offset, ByteCount(place, type, shape, values), values);
    }

    /// <summary>-1 for a type whose block is not known.</summary>
    private long ByteCount(string place, GgmlType type, long[] shape, long values)
    {
        if (!GgmlTypes.IsKnown(type))
        {
            return -1;
        }
        var block = GgmlTypes.BlockValues(type);
        var row = shape.Length > 0 ? shape[0] : 1;
        if (row % block != 0)
        {
            throw new GgufException(
                _file,
                place,
                $"rows of a multiple of {block} values for type {GgmlTypes.Name(type)}",
                $"{row}"
            );
        }
        var bytes = (Int128)(values / block) * GgmlTypes.BlockBytes(type);
        return bytes <= _length
            ? (long)bytes
            : throw new GgufException(
                _file,
                place,
                $"at most the file's {_length} bytes",
                $"{bytes} bytes by its shape"
            );
    }

    /// <summary>Checks that the data of all tensors lies inside the file and apart; gives unknown types what lies before the next one.</summary>
    private GgufTensor[] Place(List<GgufTensor> tensors, long dataOffset)
    {
        var size = _length - dataOffset;
        var placed = tensors.ToArray();
        var order = Enumerable.Range(0, placed.Length).OrderBy(i => placed[i].Offset).ThenBy(i => i).ToArray();
        for (var k = 0; k < order.Length; k++)
        {
            var tensor = placed[order[k]];
            if (size < 0 || tensor.Offset > (ulong)size)
            {
                throw OutOfFile(tensor, dataOffset);
            }
            var next = k + 1 < order.Length ? placed[order[k + 1]] : null;
            if (tensor.ByteCount < 0)
            {
                var end = Math.Min(next?.Offset ?? (ulong)size, (ulong)size);
                tensor = placed[order[k]] = tensor with { ByteCount = (long)(end - tensor.Offset) };
            }
            if (tensor.ByteCount > size - (long)tensor.Offset)
            {
                throw OutOfFile(tensor, dataOffset);
            }
            if (next != null && tensor.Offset + (ulong)tensor.ByteCount > next.Offset)
            {
                throw new GgufException(
                    _file,
                    $"tensor '{next.Name}', offset",
                    $"at least {tensor.Offset + (ulong)tensor.ByteCount}, where the data of '{tensor.Name}' ends",
                    $"{next.Offset}"
                );
            }
        }
        return placed;
    }

    private GgufException OutOfFile(GgufTensor tensor, long dataOffset) =>
        new(
            _file,
            $"tensor '{tensor.Name}'",
            $"data within the file's {_length} bytes",
            $"{Math.Max(0, tensor.ByteCount)} bytes from byte {(Int128)dataOffset + tensor.Offset} (is the file truncated?)"
        );

    private string ReadName(string place, int maxBytes)
    {
        var at = _at;
        var name = ReadString($"{place}, name");
        // The names go into C strings and error lines.
        if (name.Length == 0 || name.Length > maxBytes || name.Any(char.IsControl))
        {
            throw new GgufException(
                _file,
                $"{place} (byte {at})",
                $"a name of 1 to {maxBytes} characters without control characters",
                $"{name.Length} characters"
            );
        }
        return name;
    }

    private string ReadString(string place)
    {
        var at = _at;
        var length = ReadUInt64(place);
        if (length > (ulong)(_length - _at) || length > int.MaxValue)
        {
            throw new GgufException(
                _file,
                $"{place} (byte {at})",
                $"a string of at most the {_length - _at} bytes that are left",
                $"a length of {length}"
            );
        }
        try
        {
            return GgufValue.Utf8.GetString(Take((long)length, place));
        }
        catch (DecoderFallbackException e)
        {
            throw new GgufException(_file, $"{place} (byte {at + 8 + e.Index})", "UTF-8", "bytes that are not");
        }
    }

    /// <summary>A count of entries that take at least <paramref name="minBytes"/> each.</summary>
    private long ReadCount(string place, int minBytes)
    {
        var at = _at;
        var count = ReadUInt64(place);
        var most = (ulong)((_length - _at) / minBytes);
        return count <= most
            ? (long)count
            : throw new GgufException(
                _file,
                $"{place} (byte {at})",
                $"at most {most}, what the rest of the file can hold",
                $"{count}"
            );
    }

    private uint ReadUInt32(string place) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, place));

    private ulong ReadUInt64(string place) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, place));

    private ReadOnlySpan<byte> Take(long count, string place)
    {
        var bytes = Bytes(_at, count, place);
        _at += count;
        return bytes;
    }

    private ReadOnlySpan<byte> Bytes(long at, long count, string place)
    {
        if (count > _length - at)
        {
            throw new GgufException(
                _file,
                $"{place} (byte {at})",
                $"{count} more bytes",
                $"the end of the file after {_length - at} (is the file truncated?)"
            );
        }
        return count <= int.MaxValue
            ? new ReadOnlySpan<byte>(_start + at, (int)count)
            : throw new GgufException(_file, $"{place} (byte {at})", "a value below 2 GiB", $"{count} bytes");
    }

    private static long Align(long at, uint alignment) => (at + alignment - 1) / alignment * alignment;

    private static uint ByteSwapped(uint value) => BinaryPrimitives.ReverseEndianness(value);
}
