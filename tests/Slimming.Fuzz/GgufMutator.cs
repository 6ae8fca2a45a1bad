using System.Buffers.Binary;
using System.Text;
using Slimming.Gguf;

namespace Slimming.Fuzz;

/// <summary>Breaks a sound GGUF file where it hurts: it knows where each field of the header lies.</summary>
internal sealed class GgufMutator
{
    private enum Field
    {
        Version,
        TensorCount,
        PairCount,
        KeyLength,
        KeyText,
        ValueType,
        ElementType,
        ArrayLength,
        StringLength,
        StringText,
        Scalar,
        TensorName,
        DimensionCount,
        Dimension,
        TensorType,
        TensorOffset,
    }

    private static readonly ulong[] Edges =
    [
        0,
        1,
        2,
        7,
        31,
        255,
        65535,
        65536,
        int.MaxValue,
        (ulong)int.MaxValue + 1,
        uint.MaxValue,
        (ulong)uint.MaxValue + 1,
        long.MaxValue,
        (ulong)long.MaxValue + 1,
        ulong.MaxValue - 31,
        ulong.MaxValue,
        0x2000_0000_0000_0000,
        0x4000_0000_0000_0001,
    ];

    private readonly byte[] _sound;
    private readonly List<(Field Field, int At, int Length)> _fields = [];
    private int _at;

    public GgufMutator(byte[] sound)
    {
        _sound = sound;
        Walk();
    }

    public byte[] Sound => _sound;

    public byte[] Mutate(Random random, out string kind)
    {
        var bytes = (byte[])_sound.Clone();
        var choice = random.Next(10);
        if (choice >= 3)
        {
            // A kind first, then one field of it: there is one version and there are hundreds of strings.
            var field = (Field)random.Next((int)Field.TensorOffset + 1);
            var places = _fields.Where(place => place.Field == field).ToArray();
            if (places.Length > 0)
            {
                var (_, at, length) = places[random.Next(places.Length)];
                Write(bytes, at, length, random);
                kind = field.ToString();
                return choice == 9 ? Second(bytes, random, ref kind) : bytes;
            }
        }
        bytes = Raw.Mutate(bytes, random, out kind);
        return bytes;
    }

    private byte[] Second(byte[] bytes, Random random, ref string kind)
    {
        var (_, at, length) = _fields[random.Next(_fields.Count)];
        Write(bytes, at, length, random);
        kind += "+";
        return bytes;
    }

    private static void Write(byte[] bytes, int at, int length, Random random)
    {
        var span = bytes.AsSpan(at, length);
        if (length is not (4 or 8) || random.Next(4) == 0)
        {
            foreach (ref var one in span)
            {
                one = random.Next(3) == 0 ? (byte)random.Next(256) : one;
            }
            return;
        }
        var old =
            length == 4 ? BinaryPrimitives.ReadUInt32LittleEndian(span) : BinaryPrimitives.ReadUInt64LittleEndian(span);
        var value = random.Next(3) switch
        {
            0 => Edges[random.Next(Edges.Length)],
            1 => old + (ulong)random.NextInt64(-3, 4),
            _ => old ^ (1ul << random.Next(8 * length)),
        };
        if (length == 4)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(span, (uint)value);
        }
        else
        {
            BinaryPrimitives.WriteUInt64LittleEndian(span, value);
        }
    }

    private void Walk()
    {
        _at = 4;
        Note(Field.Version, 4);
        var tensors = Note(Field.TensorCount, 8);
        var pairs = Note(Field.PairCount, 8);
        for (ulong i = 0; i < pairs; i++)
        {
            Text(Field.KeyLength, Field.KeyText);
            Value((GgufValueType)Note(Field.ValueType, 4));
        }
        for (ulong i = 0; i < tensors; i++)
        {
            Text(Field.StringLength, Field.TensorName);
            for (var dims = Note(Field.DimensionCount, 4); dims > 0; dims--)
            {
                Note(Field.Dimension, 8);
            }
            Note(Field.TensorType, 4);
            Note(Field.TensorOffset, 8);
        }
    }

    private void Value(GgufValueType type)
    {
        switch (type)
        {
            case GgufValueType.String:
                Text(Field.StringLength, Field.StringText);
                break;
            case GgufValueType.Array:
                var element = (GgufValueType)Note(Field.ElementType, 4);
                for (var count = Note(Field.ArrayLength, 8); count > 0; count--)
                {
                    Value(element);
                }
                break;
            default:
                Note(
                    Field.Scalar,
                    type switch
                    {
                        GgufValueType.UInt8 or GgufValueType.Int8 or GgufValueType.Bool => 1,
                        GgufValueType.UInt16 or GgufValueType.Int16 => 2,
                        GgufValueType.UInt32 or GgufValueType.Int32 or GgufValueType.Float32 => 4,
                        _ => 8,
                    }
                );
                break;
        }
    }

    private void Text(Field length, Field text)
    {
        var bytes = (int)Note(length, 8);
        if (bytes > 0)
        {
            _fields.Add((text, _at, bytes));
        }
        _at += bytes;
    }

    private ulong Note(Field field, int length)
    {
        _fields.Add((field, _at, length));
        var span = _sound.AsSpan(_at, length);
        _at += length;
        return length switch
        {
            4 => BinaryPrimitives.ReadUInt32LittleEndian(span),
            8 => BinaryPrimitives.ReadUInt64LittleEndian(span),
            _ => 0,
        };
    }
}

/// <summary>Breaks bytes of any kind of file, and words of text.</summary>
internal static class Raw
{
    public static byte[] Mutate(byte[] bytes, Random random, out string kind)
    {
        switch (random.Next(6))
        {
            case 0:
                kind = "Cut";
                return bytes[..random.Next(bytes.Length)];
            case 1:
                kind = "Longer";
                return [.. bytes, .. new byte[random.Next(1, 100)]];
            case 2:
            {
                kind = "Removed";
                var at = random.Next(bytes.Length);
                return [.. bytes[..at], .. bytes[Math.Min(bytes.Length, at + random.Next(1, 20))..]];
            }
            case 3:
            {
                kind = "Inserted";
                var at = random.Next(bytes.Length);
                var more = new byte[random.Next(1, 20)];
                random.NextBytes(more);
                return [.. bytes[..at], .. more, .. bytes[at..]];
            }
            case 4:
            {
                kind = "Repeated";
                var at = random.Next(bytes.Length);
                var end = Math.Min(bytes.Length, at + random.Next(1, 200));
                return [.. bytes[..end], .. bytes[at..]];
            }
            default:
                kind = "Bits";
                for (var i = random.Next(1, 8); i > 0; i--)
                {
                    bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                }
                return bytes;
        }
    }

    /// <summary>Swaps, drops, doubles or replaces words and signs; one time in four bytes as above.</summary>
    public static byte[] MutateText(string text, IReadOnlyList<string> words, Random random, out string kind)
    {
        if (random.Next(4) == 0)
        {
            return Mutate(Encoding.UTF8.GetBytes(text), random, out kind);
        }
        var parts = Split(text);
        for (var i = random.Next(1, 5); i > 0; i--)
        {
            var at = random.Next(parts.Count);
            switch (random.Next(4))
            {
                case 0:
                    parts.RemoveAt(at);
                    break;
                case 1:
                    parts.Insert(at, parts[random.Next(parts.Count)]);
                    break;
                case 2:
                    parts[at] = words[random.Next(words.Count)];
                    break;
                default:
                    parts.Insert(at, words[random.Next(words.Count)]);
                    break;
            }
            if (parts.Count == 0)
            {
                break;
            }
        }
        kind = "Words";
        return Encoding.UTF8.GetBytes(string.Concat(parts));
    }

    /// <summary>Runs of letters and digits, and every other sign alone.</summary>
    private static List<string> Split(string text)
    {
        List<string> parts = [];
        for (var at = 0; at < text.Length; )
        {
            var end = at + 1;
            while (end < text.Length && char.IsLetterOrDigit(text[at]) && char.IsLetterOrDigit(text[end]))
            {
                end++;
            }
            parts.Add(text[at..end]);
            at = end;
        }
        return parts;
    }
}
