namespace Slimming.Training.Data;

/// <summary>
/// How CSV files are read: RFC 4180 with a header. Nothing is guessed from the rows, because a guess may take a row for
/// a header or a part of a text for a separator.
/// </summary>
internal static class CsvDialect
{
    private const int LongestHeader = 1 << 20;

    /// <summary>A tab in .tsv; in .csv a comma, or what a header without commas holds in its place.</summary>
    public static char Delimiter(Stream stream, string extension)
    {
        if (extension == ".tsv")
        {
            return '\t';
        }
        using StreamReader reader = new(stream, leaveOpen: true);
        // A packed line may have no end.
        var start = new char[LongestHeader];
        var header = start.AsSpan(0, reader.ReadBlock(start));
        header = header.IndexOfAny('\r', '\n') is >= 0 and var end ? header[..end] : header;
        foreach (var delimiter in ",;\t|")
        {
            if (header.Contains(delimiter))
            {
                return delimiter;
            }
        }
        return ',';
    }

    /// <summary>The first record that is no CSV ("line 3: ...", from 1), or null.</summary>
    public static string? FindFault(Stream stream, char delimiter)
    {
        var state = State.FieldStart;
        var (line, recordLine, quoteLine) = (1L, 1L, 0L);
        var (fields, expected, blank) = (1, 0, true);
        var buffer = new byte[1 << 16];
        int read;
        while ((read = stream.Read(buffer)) > 0)
        {
            foreach (var c in buffer.AsSpan(0, read))
            {
                quoteLine = state == State.FieldStart && c == '"' ? line : quoteLine;
                state = Next(state, (char)c, delimiter);
                if (state == State.Broken)
                {
                    return $"line {line}: found text behind a closing quote; expected '{Show(delimiter)}' or the end of the line "
                        + "(a quote within a text is written twice)";
                }
                if (state == State.RecordEnd)
                {
                    if (Ragged(blank, fields, expected, recordLine, delimiter) is { } fault)
                    {
                        return fault;
                    }
                    expected = expected == 0 && !blank ? fields : expected;
                    (state, fields, blank) = (State.FieldStart, 1, true);
                    recordLine = line + 1;
                }
                else
                {
                    fields += state == State.FieldStart && c == delimiter ? 1 : 0;
                    blank &= c is (byte)'\r';
                }
                line += c == '\n' ? 1 : 0;
            }
        }
        return state == State.Quoted
            ? $"line {quoteLine}: found a text that opens with a quote and never closes; expected a second one"
            : Ragged(blank, fields, expected, recordLine, delimiter);
    }

    private enum State
    {
        FieldStart,
        Plain,
        Quoted,
        QuoteInQuoted,
        RecordEnd,
        Broken,
    }

    private static State Next(State state, char c, char delimiter) =>
        (state, c) switch
        {
            (State.Quoted, '"') => State.QuoteInQuoted,
            (State.Quoted, _) => State.Quoted,
            (State.QuoteInQuoted or State.FieldStart, '"') => State.Quoted,
            (_, '\n') => State.RecordEnd,
            (_, '\r') => state,
            _ when c == delimiter => State.FieldStart,
            (State.QuoteInQuoted, _) => State.Broken,
            _ => State.Plain,
        };

    private static string? Ragged(bool blank, int fields, int expected, long line, char delimiter) =>
        blank || expected == 0 || fields == expected
            ? null
            : $"line {line}: found {fields} fields, expected {expected} as in the header (a text with '{Show(delimiter)}' in "
                + "it must stand in quotes)";

    private static string Show(char delimiter) => delimiter == '\t' ? "tab" : delimiter.ToString();
}
