using System.Buffers.Binary;
using System.Text;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Training.Export;

/// <summary>
/// The binary form that llama-imatrix wrote before GGUF, little endian: a count of entries; of each the length of its
/// name, the name, a count of calls, a count of values and the values times the calls in f32; then perhaps the number of
/// chunks and the name of the text. Untrusted: every length is checked against what is left.
/// </summary>
internal sealed class LegacyImportance : IDisposable
{
    private const uint GgufMagic = 0x46554747;

    // Name of 1 byte and one value.
    private const int MinEntryBytes = 4 + 1 + 4 + 4 + 4;

    private static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    private readonly string _path;
    private readonly FileStream _stream;

    private LegacyImportance(string path, FileStream stream) => (_path, _stream) = (path, stream);

    private long Left => _stream.Length - _stream.Position;

    /// <summary>It is a file and does not begin as a GGUF file does.</summary>
    public static bool Is(string path)
    {
        if (!File.Exists(path))
        {
            return false;
        }
        using var file = Open(path);
        Span<byte> head = stackalloc byte[4];
        return file._stream.ReadAtLeast(head, 4, throwOnEndOfStream: false) == 4
            && BinaryPrimitives.ReadUInt32LittleEndian(head) != GgufMagic;
    }

    public static LegacyImportance Open(string path)
    {
        try
        {
            return new LegacyImportance(path, RegularFile.OpenRead(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new GgufException(path, "open", $"cannot read the file: {e.Message}");
        }
    }

    /// <summary>Name and mean squares of each entry, in the file's order.</summary>
    public IEnumerable<(string Name, float[] Values)> Entries()
    {
        var count = Integer(
            "byte 0, count of entries",
            1,
            (Left - 4) / MinEntryBytes,
            "; expected a file of llama-imatrix"
        );
        for (var i = 0; i < count; i++)
        {
            var name = Text($"entry {i}, name");
            var calls = Integer($"entry '{name}', calls", 0, int.MaxValue);
            var values = new float[Integer($"entry '{name}', count of values", 1, (Left - 4) / sizeof(float))];
            var bytes = new byte[values.Length * sizeof(float)];
            _stream.ReadExactly(bytes);
            for (var v = 0; v < values.Length; v++)
            {
                var value = BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(v * sizeof(float)));
                values[v] = calls > 0 ? value / calls : value;
            }
            yield return (name, values);
        }
    }

    /// <summary>What may follow the entries.</summary>
    public (long? Chunks, string[] Datasets) Tail()
    {
        if (Left == 0)
        {
            return (null, []);
        }
        var chunks = Integer("count of chunks", 0, int.MaxValue);
        return (chunks, Left == 0 ? [] : [Text("name of the text", least: 0)]);
    }

    public void Dispose() => _stream.Dispose();

    private int Integer(string place, long least, long most, string hint = "")
    {
        var at = _stream.Position;
        if (Left < 4)
        {
            throw Wrong(place, at, "4 more bytes", $"{Left} (is the file truncated?)");
        }
        Span<byte> raw = stackalloc byte[4];
        _stream.ReadExactly(raw);
        var value = BinaryPrimitives.ReadInt32LittleEndian(raw);
        return value >= least && value <= most
            ? value
            : throw Wrong(place, at, $"{least} to {Math.Max(least, most)}, what the rest can hold", $"{value}{hint}");
    }

    private string Text(string place, int least = 1)
    {
        var at = _stream.Position;
        var bytes = new byte[Integer($"{place}, length", least, Left - 4)];
        _stream.ReadExactly(bytes);
        try
        {
            return Utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw Wrong(place, at, "UTF-8", "bytes that are not");
        }
    }

    private GgufException Wrong(string place, long at, string expected, string found) =>
        new(_path, $"{place} (byte {at})", expected, found);
}
