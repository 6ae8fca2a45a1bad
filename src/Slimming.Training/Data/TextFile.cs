using System.Buffers;
using Slimming.Shared;

namespace Slimming.Training.Data;

/// <summary>Text files of data: their kind, and the place of what makes one unreadable.</summary>
internal static class TextFile
{
    /// <summary>Lines beyond this are not looked at: a file without line feeds would be held in memory.</summary>
    private const int LongestLine = 16 << 20;

    /// <summary>What reading stumbled over; looked for only then. "line 3, byte 12: ..." (from 1), or null where nothing is found.</summary>
    public static string? FindFault(string file)
    {
        var extension = Extension(file);
        if (extension is not (".json" or ".jsonl" or ".ndjson" or ".csv" or ".tsv"))
        {
            return null;
        }
        try
        {
            using (var stream = PackedFile.OpenRead(file))
            {
                if (FindByLine(stream, extension) is { } fault)
                {
                    return fault;
                }
            }
            if (extension is ".csv" or ".tsv")
            {
                var delimiter = Delimiter(file);
                using var stream = PackedFile.OpenRead(file);
                return CsvDialect.FindFault(stream, delimiter);
            }
        }
        catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            // The reader's own message names it.
        }
        return null;
    }

    /// <summary>".csv" for a.csv and a.csv.gz.</summary>
    public static string Extension(string file)
    {
        var name = PackedFile.IsPacked(file) ? file[..^3] : file;
        return Path.GetExtension(name).ToLowerInvariant();
    }

    /// <summary>What separates the fields of a CSV file.</summary>
    public static char Delimiter(string file)
    {
        using var stream = PackedFile.OpenRead(file);
        return CsvDialect.Delimiter(stream, Extension(file));
    }

    private static string? FindByLine(Stream stream, string extension)
    {
        var line = 0L;
        foreach (var bytes in Lines(stream))
        {
            line++;
            var fault =
                StrictText.NotUtf8(bytes) ?? (extension is ".jsonl" or ".ndjson" ? StrictText.NotJson(bytes) : null);
            if (fault is not null)
            {
                return $"line {line}, {fault}";
            }
        }
        return null;
    }

    private static IEnumerable<byte[]> Lines(Stream stream)
    {
        ArrayBufferWriter<byte> line = new();
        var buffer = new byte[1 << 16];
        int read;
        while ((read = stream.Read(buffer)) > 0)
        {
            var start = 0;
            for (int end; (end = Array.IndexOf(buffer, (byte)'\n', start, read - start)) >= 0; start = end + 1)
            {
                line.Write(buffer.AsSpan(start, end - start));
                yield return line.WrittenSpan.ToArray();
                line.ResetWrittenCount();
            }
            line.Write(buffer.AsSpan(start, read - start));
            if (line.WrittenCount > LongestLine)
            {
                yield break;
            }
        }
        yield return line.WrittenSpan.ToArray();
    }
}
