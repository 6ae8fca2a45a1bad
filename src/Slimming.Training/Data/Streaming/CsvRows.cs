using System.Buffers;
using System.Text;
using System.Text.Json;
using Slimming.Gguf;

namespace Slimming.Training.Data;

/// <summary>Rows of CSV as <see cref="CsvDialect"/> has it: every column a text.</summary>
internal sealed class CsvRows : ITextFormat
{
    private static readonly SearchValues<byte> s_quote = SearchValues.Create("\""u8);
    private static readonly SearchValues<byte> s_blank = SearchValues.Create(" "u8);

    private readonly string _file;
    private readonly IReadOnlyList<string> _columns;
    private readonly char _delimiter;
    private readonly char _newline;
    private readonly SearchValues<byte> _fieldEnd;

    /// <param name="file">Its path.</param>
    /// <param name="columns">Names of the header, as the rest of the program knows them.</param>
    public CsvRows(string file, IReadOnlyList<string> columns)
    {
        (_file, _columns) = (file, columns);
        _delimiter = TextFile.Delimiter(file);
        _newline = Newline(file);
        _fieldEnd = SearchValues.Create([(byte)_delimiter, (byte)_newline]);
    }

    public IEnumerable<(long Start, int Length)> Split(ByteScanner bytes)
    {
        var header = bytes.Position == 0;
        if (header)
        {
            bytes.SkipByteOrderMark();
        }
        while (bytes.Peek() >= 0)
        {
            var start = bytes.Position;
            if (SkipBlankLine(bytes))
            {
                continue;
            }
            var (fields, end) = SkipRecord(bytes);
            var length = end - start;
            if (fields != _columns.Count || length > int.MaxValue)
            {
                throw Fault($"byte {start + 1} of the file: found {fields} fields, expected {_columns.Count}");
            }
            if (!header)
            {
                yield return (start, (int)length);
            }
            header = false;
        }
    }

    public string ToJson(string row)
    {
        ArrayBufferWriter<byte> json = new(row.Length + 64);
        using (Utf8JsonWriter writer = new(json))
        {
            writer.WriteStartObject();
            var at = 0;
            foreach (var column in _columns)
            {
                writer.WriteString(column, Field(row, ref at));
            }
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(json.WrittenSpan);
    }

    private bool SkipBlankLine(ByteScanner bytes)
    {
        if (_newline == '\n' && bytes.Peek() == '\r')
        {
            bytes.Next();
        }
        if (bytes.Peek() == _newline)
        {
            bytes.Next();
            return true;
        }
        return bytes.Peek() < 0;
    }

    /// <summary>Fields of the record that begins here, and where it ends; the scanner stops behind its line end.</summary>
    private (int Fields, long End) SkipRecord(ByteScanner bytes)
    {
        var start = bytes.Position;
        for (var fields = 1; ; fields++)
        {
            if (bytes.SkipPast(s_blank) == '"')
            {
                SkipQuoted(bytes);
                bytes.SkipPast(s_blank);
                if (bytes.Peek() == '\r' && _newline == '\n')
                {
                    bytes.Next();
                }
                if (bytes.Peek() is var behind && behind >= 0 && behind != _delimiter && behind != _newline)
                {
                    throw Fault($"byte {bytes.Position + 1} of the file: found text behind a closing quote");
                }
            }
            var found = bytes.SkipTo(_fieldEnd);
            var end = bytes.Position;
            bytes.Next();
            if (found != _delimiter)
            {
                return (fields, end);
            }
        }
    }

    private void SkipQuoted(ByteScanner bytes)
    {
        var open = bytes.Position;
        do
        {
            bytes.Next();
            if (bytes.SkipTo(s_quote) < 0)
            {
                throw Fault($"byte {open + 1} of the file: found a text that opens with a quote and never closes");
            }
            bytes.Next();
        } while (bytes.Peek() == '"');
    }

    /// <summary>The field at <paramref name="at"/>, which moves to the next one.</summary>
    private string Field(string row, ref int at)
    {
        var start = at;
        var first = at;
        while (first < row.Length && row[first] == ' ')
        {
            first++;
        }
        if (first == row.Length || row[first] != '"')
        {
            var end = row.IndexOf(_delimiter, start);
            at = end < 0 ? row.Length : end + 1;
            var text = row.AsSpan(start, (end < 0 ? row.Length : end) - start);
            return (end < 0 && _newline == '\n' && text.EndsWith('\r') ? text[..^1] : text).ToString();
        }
        var last = first;
        do
        {
            last = row.IndexOf('"', last + 1);
        } while (++last < row.Length && row[last] == '"');
        var next = row.IndexOf(_delimiter, last);
        at = next < 0 ? row.Length : next + 1;
        return row[(first + 1)..(last - 1)].Replace("\"\"", "\"", StringComparison.Ordinal);
    }

    /// <summary>A carriage return only where the header ends in one alone.</summary>
    private static char Newline(string file)
    {
        using StreamReader reader = new(file);
        for (int c; (c = reader.Read()) >= 0; )
        {
            if (c == '\n' || (c == '\r' && reader.Peek() != '\n'))
            {
                return (char)c;
            }
        }
        return '\n';
    }

    private SlimmingException Fault(string what) =>
        new(ExitCode.Usage, $"{_file}: cannot be read: {TextFile.FindFault(_file) ?? what}");
}
