using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Slimming.Gguf;

/// <summary>
/// One metadata value. It keeps the bytes that the file holds behind the type tag, so that copying changes nothing,
/// and decodes on demand.
/// </summary>
public sealed class GgufValue
{
    /// <summary>Strict: bytes that are no UTF-8 are an error, not a replacement character.</summary>
    internal static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>The caller has checked <paramref name="raw"/> against <paramref name="type"/>.</summary>
    internal GgufValue(GgufValueType type, ReadOnlyMemory<byte> raw)
    {
        Type = type;
        Raw = raw;
    }

    public GgufValueType Type { get; }

    /// <summary>The bytes behind the type tag, as in the file.</summary>
    public ReadOnlyMemory<byte> Raw { get; }

    /// <summary>Type of the elements of an array.</summary>
    public GgufValueType? ElementType =>
        Type == GgufValueType.Array ? (GgufValueType)BinaryPrimitives.ReadUInt32LittleEndian(Raw.Span) : null;

    /// <summary>Elements of an array, 1 for anything else.</summary>
    public long Count => Type == GgufValueType.Array ? (long)BinaryPrimitives.ReadUInt64LittleEndian(Raw.Span[4..]) : 1;

    public static GgufValue Of(string value)
    {
        var raw = new MemoryStream();
        WriteString(raw, value);
        return new GgufValue(GgufValueType.String, raw.ToArray());
    }

    public static GgufValue Of(uint value)
    {
        var raw = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(raw, value);
        return new GgufValue(GgufValueType.UInt32, raw);
    }

    public static GgufValue Of(int value)
    {
        var raw = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(raw, value);
        return new GgufValue(GgufValueType.Int32, raw);
    }

    public static GgufValue Of(ulong value)
    {
        var raw = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(raw, value);
        return new GgufValue(GgufValueType.UInt64, raw);
    }

    public static GgufValue Of(long value)
    {
        var raw = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(raw, value);
        return new GgufValue(GgufValueType.Int64, raw);
    }

    public static GgufValue Of(float value)
    {
        var raw = new byte[4];
        BinaryPrimitives.WriteSingleLittleEndian(raw, value);
        return new GgufValue(GgufValueType.Float32, raw);
    }

    public static GgufValue Of(double value)
    {
        var raw = new byte[8];
        BinaryPrimitives.WriteDoubleLittleEndian(raw, value);
        return new GgufValue(GgufValueType.Float64, raw);
    }

    public static GgufValue Of(bool value) => new(GgufValueType.Bool, new[] { value ? (byte)1 : (byte)0 });

    public static GgufValue Of(IReadOnlyCollection<string> values)
    {
        var raw = ArrayHead(GgufValueType.String, values.Count);
        foreach (var value in values)
        {
            WriteString(raw, value);
        }
        return new GgufValue(GgufValueType.Array, raw.ToArray());
    }

    public static GgufValue Of(IReadOnlyCollection<int> values)
    {
        var raw = ArrayHead(GgufValueType.Int32, values.Count);
        Span<byte> bytes = stackalloc byte[4];
        foreach (var value in values)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
            raw.Write(bytes);
        }
        return new GgufValue(GgufValueType.Array, raw.ToArray());
    }

    public static GgufValue Of(IReadOnlyCollection<float> values)
    {
        var raw = ArrayHead(GgufValueType.Float32, values.Count);
        Span<byte> bytes = stackalloc byte[4];
        foreach (var value in values)
        {
            BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
            raw.Write(bytes);
        }
        return new GgufValue(GgufValueType.Array, raw.ToArray());
    }

    /// <summary>Any integer type; false for another type or a value above the range of long.</summary>
    public bool TryInteger(out long value)
    {
        value = 0;
        if (!IsInteger(Type) || (Type == GgufValueType.UInt64 && ReadUInt64() > long.MaxValue))
        {
            return false;
        }
        value = ReadInteger(Type, Raw.Span);
        return true;
    }

    /// <summary>A float or an integer.</summary>
    public bool TryFloat(out double value)
    {
        switch (Type)
        {
            case GgufValueType.Float32:
                value = BinaryPrimitives.ReadSingleLittleEndian(Raw.Span);
                return true;
            case GgufValueType.Float64:
                value = BinaryPrimitives.ReadDoubleLittleEndian(Raw.Span);
                return true;
            default:
                var isInteger = TryInteger(out var integer);
                value = integer;
                return isInteger;
        }
    }

    public bool TryBool(out bool value)
    {
        value = Type == GgufValueType.Bool && Raw.Span[0] != 0;
        return Type == GgufValueType.Bool;
    }

    public bool TryString(out string value)
    {
        value = Type == GgufValueType.String ? Utf8.GetString(Raw.Span[8..]) : "";
        return Type == GgufValueType.String;
    }

    public bool TryStrings(out string[] values)
    {
        values = [];
        if (ElementType != GgufValueType.String)
        {
            return false;
        }
        values = new string[Count];
        var rest = Raw.Span[12..];
        for (var i = 0; i < values.Length; i++)
        {
            var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(rest);
            values[i] = Utf8.GetString(rest.Slice(8, length));
            rest = rest[(8 + length)..];
        }
        return true;
    }

    /// <summary>An array of any integer or bool type.</summary>
    public bool TryIntegers(out long[] values)
    {
        values = [];
        if (ElementType is not { } element || !(IsInteger(element) || element == GgufValueType.Bool))
        {
            return false;
        }
        values = new long[Count];
        var size = ScalarBytes(element);
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = ReadInteger(element, Raw.Span.Slice(12 + i * size, size));
        }
        return true;
    }

    /// <summary>An array of floats of either width.</summary>
    public bool TryFloats(out double[] values)
    {
        values = [];
        if (ElementType is not (GgufValueType.Float32 or GgufValueType.Float64))
        {
            return false;
        }
        values = new double[Count];
        var size = ScalarBytes(ElementType.Value);
        for (var i = 0; i < values.Length; i++)
        {
            var raw = Raw.Span.Slice(12 + i * size, size);
            values[i] =
                size == sizeof(float)
                    ? BinaryPrimitives.ReadSingleLittleEndian(raw)
                    : BinaryPrimitives.ReadDoubleLittleEndian(raw);
        }
        return true;
    }

    /// <summary>What <c>inspect</c> prints: long strings and arrays are cut to <paramref name="limit"/> characters or elements.</summary>
    public string ToText(int limit)
    {
        if (Type == GgufValueType.Array)
        {
            return ArrayText(limit);
        }
        if (TryString(out var text))
        {
            return text.Length <= limit ? text : text[..limit] + $"... ({text.Length} characters)";
        }
        if (TryBool(out var flag))
        {
            return flag ? "true" : "false";
        }
        if (Type == GgufValueType.UInt64)
        {
            return ReadUInt64().ToString(CultureInfo.InvariantCulture);
        }
        if (TryInteger(out var integer))
        {
            return integer.ToString(CultureInfo.InvariantCulture);
        }
        return Type == GgufValueType.Float32
            ? BinaryPrimitives.ReadSingleLittleEndian(Raw.Span).ToString("R", CultureInfo.InvariantCulture)
            : BinaryPrimitives.ReadDoubleLittleEndian(Raw.Span).ToString("R", CultureInfo.InvariantCulture);
    }

    public override string ToString() => ToText(80);

    /// <summary>Bytes of a scalar type, 0 for strings and arrays.</summary>
    internal static int ScalarBytes(GgufValueType type) =>
        type switch
        {
            GgufValueType.UInt8 or GgufValueType.Int8 or GgufValueType.Bool => 1,
            GgufValueType.UInt16 or GgufValueType.Int16 => 2,
            GgufValueType.UInt32 or GgufValueType.Int32 or GgufValueType.Float32 => 4,
            GgufValueType.UInt64 or GgufValueType.Int64 or GgufValueType.Float64 => 8,
            _ => 0,
        };

    private static bool IsInteger(GgufValueType type) =>
        type is <= GgufValueType.Int32 or GgufValueType.UInt64 or GgufValueType.Int64;

    private static long ReadInteger(GgufValueType type, ReadOnlySpan<byte> raw) =>
        type switch
        {
            GgufValueType.UInt8 or GgufValueType.Bool => raw[0],
            GgufValueType.Int8 => (sbyte)raw[0],
            GgufValueType.UInt16 => BinaryPrimitives.ReadUInt16LittleEndian(raw),
            GgufValueType.Int16 => BinaryPrimitives.ReadInt16LittleEndian(raw),
            GgufValueType.UInt32 => BinaryPrimitives.ReadUInt32LittleEndian(raw),
            GgufValueType.Int32 => BinaryPrimitives.ReadInt32LittleEndian(raw),
            _ => BinaryPrimitives.ReadInt64LittleEndian(raw),
        };

    private ulong ReadUInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Raw.Span);

    private string ArrayText(int limit)
    {
        var head = $"{ElementType}[{Count}]".ToLowerInvariant();
        if (TryStrings(out var strings))
        {
            return $"{head} {string.Join(", ", strings.Take(Math.Max(1, limit / 10)).Select(Quote))}{(strings.Length > Math.Max(1, limit / 10) ? ", ..." : "")}";
        }
        if (TryIntegers(out var integers))
        {
            return $"{head} {string.Join(", ", integers.Take(Math.Max(1, limit / 8)))}{(integers.Length > Math.Max(1, limit / 8) ? ", ..." : "")}";
        }
        return head;
    }

    private static string Quote(string text) => $"'{text}'";

    private static MemoryStream ArrayHead(GgufValueType type, int count)
    {
        var raw = new MemoryStream();
        Span<byte> bytes = stackalloc byte[12];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)type);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[4..], (ulong)count);
        raw.Write(bytes);
        return raw;
    }

    private static void WriteString(MemoryStream raw, string value)
    {
        var text = Utf8.GetBytes(value);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)text.Length);
        raw.Write(length);
        raw.Write(text);
    }
}
