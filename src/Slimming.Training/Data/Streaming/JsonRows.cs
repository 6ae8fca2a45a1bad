using System.Buffers;
using System.Text;
using System.Text.Json;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Training.Data;

/// <summary>Rows of JSON: one on each line, the elements of one list, or values one after another.</summary>
internal sealed class JsonRows : ITextFormat
{
    /// <summary>More of a first line is not looked at to tell the layouts apart.</summary>
    private const int LongestFirstLine = 16 << 20;

    /// <summary>A row is held whole several times over, as bytes, text and tokens.</summary>
    private const int LongestRow = 64 << 20;
    private static readonly SearchValues<byte> s_blank = SearchValues.Create(" \t\r\n"u8);
    private static readonly SearchValues<byte> s_lineEnd = SearchValues.Create("\n"u8);
    private static readonly SearchValues<byte> s_structure = SearchValues.Create("\"{}[]"u8);
    private static readonly SearchValues<byte> s_stringEnd = SearchValues.Create("\"\\\n"u8);
    private static readonly SearchValues<byte> s_valueEnd = SearchValues.Create(",]} \t\r\n"u8);

    private readonly string _file;
    private readonly Layout _layout;

    private enum Layout
    {
        Lines,
        List,
        Sequence,
    }

    public JsonRows(string file)
    {
        _file = file;
        using var handle = File.OpenHandle(file);
        ByteScanner bytes = new(handle);
        bytes.SkipByteOrderMark();
        _layout =
            bytes.SkipPast(s_blank) == '[' ? Layout.List
            : IsWhole(handle, bytes) ? Layout.Lines
            : Layout.Sequence;
    }

    /// <summary>All rows of a file in order.</summary>
    /// <exception cref="SlimmingException">The file cannot be read, or a row of it is no UTF-8.</exception>
    public static IEnumerable<string> Texts(string file)
    {
        JsonRows rows = new(file);
        using var handle = File.OpenHandle(file);
        foreach (var (start, length) in rows.Split(new ByteScanner(handle)))
        {
            var bytes = new byte[length];
            var read = RandomAccess.Read(handle, bytes, start);
            if (read < length || StrictText.NotUtf8(bytes) is not null)
            {
                var what = TextFile.FindFault(file) ?? $"byte {start + 1} of the file: the row that begins there";
                throw new SlimmingException(ExitCode.Usage, $"{file}: cannot be read: {what}");
            }
            yield return Encoding.UTF8.GetString(bytes);
        }
    }

    public string ToJson(string row) => row;

    public IEnumerable<(long Start, int Length)> Split(ByteScanner bytes)
    {
        if (bytes.Position == 0)
        {
            bytes.SkipByteOrderMark();
            if (_layout == Layout.List && bytes.SkipPast(s_blank) == '[')
            {
                bytes.Next();
            }
        }
        while (bytes.SkipPast(s_blank) is var first && first >= 0)
        {
            if (_layout == Layout.List && first == ']')
            {
                bytes.Next();
                if (bytes.SkipPast(s_blank) >= 0)
                {
                    throw Fault(bytes, "nothing behind the end of the list");
                }
                yield break;
            }
            var start = bytes.Position;
            if (_layout == Layout.Lines)
            {
                bytes.SkipTo(s_lineEnd);
            }
            else
            {
                SkipValue(bytes, first);
            }
            var length = bytes.Position - start;
            if (length > LongestRow)
            {
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"{_file}: cannot be read: byte {start + 1} of the file: found a row of {length} bytes; expected rows of at most {LongestRow >> 20} MiB"
                );
            }
            yield return length > 0 ? (start, (int)length) : throw Fault(bytes, "a row");
            if (_layout == Layout.List)
            {
                EndElement(bytes);
            }
        }
        if (_layout == Layout.List)
        {
            throw Fault(bytes, "']' at the end of the list");
        }
    }

    /// <summary>Passes over the comma before the next row; a closing bracket stays.</summary>
    private void EndElement(ByteScanner bytes)
    {
        switch (bytes.SkipPast(s_blank))
        {
            case ',':
                bytes.Next();
                if (bytes.SkipPast(s_blank) == ']')
                {
                    throw Fault(bytes, "a row behind the comma");
                }
                break;
            case not ']':
                throw Fault(bytes, "',' or ']' behind a row");
        }
    }

    private void SkipValue(ByteScanner bytes, int first)
    {
        if (first is not ('{' or '[' or '"'))
        {
            bytes.SkipTo(s_valueEnd);
            return;
        }
        var depth = 0;
        do
        {
            switch (bytes.SkipTo(s_structure))
            {
                case '"':
                    SkipString(bytes);
                    continue;
                case '{' or '[':
                    depth++;
                    break;
                case '}' or ']':
                    depth--;
                    break;
                default:
                    throw Fault(bytes, "the end of the row");
            }
            bytes.Next();
        } while (depth > 0);
    }

    private void SkipString(ByteScanner bytes)
    {
        bytes.Next();
        while (true)
        {
            switch (bytes.SkipTo(s_stringEnd))
            {
                case '"':
                    bytes.Next();
                    return;
                case '\\':
                    bytes.Next();
                    bytes.Next();
                    break;
                default:
                    throw Fault(bytes, "the quote that ends the text");
            }
        }
    }

    /// <summary>Whether the line that the scanner stands in is a JSON value.</summary>
    private static bool IsWhole(Microsoft.Win32.SafeHandles.SafeFileHandle file, ByteScanner bytes)
    {
        var start = bytes.Position;
        bytes.SkipTo(s_lineEnd);
        var line = new byte[Math.Min(bytes.Position - start, LongestFirstLine)];
        var read = RandomAccess.Read(file, line, start);
        Utf8JsonReader reader = new(line.AsSpan(0, read));
        try
        {
            while (reader.Read()) { }
            return reader.BytesConsumed > 0 && reader.CurrentDepth == 0;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private SlimmingException Fault(ByteScanner bytes, string expected)
    {
        var found = bytes.Peek() switch
        {
            -1 => "the end of the file",
            '\n' => "the end of the line",
            var c and > ' ' and < 127 => $"'{(char)c}'",
            var c => $"byte 0x{c:X2}",
        };
        var named = TextFile.FindFault(_file) is { } fault ? $"{fault}; or " : "";
        return new SlimmingException(
            ExitCode.Usage,
            $"{_file}: cannot be read: {named}byte {bytes.Position + 1} of the file: found {found}; expected {expected}"
        );
    }
}
