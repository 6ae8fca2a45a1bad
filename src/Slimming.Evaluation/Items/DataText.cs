using System.IO.Compression;
using System.Text;
using Slimming.Shared;

namespace Slimming.Evaluation.Items;

/// <summary>Texts of benchmark data, packed or not: no line and no unpacked file without an end.</summary>
internal static class DataText
{
    private const int LongestLine = 16 << 20;
    private const long FreeBytes = 64L << 20;

    /// <summary>Texts pack some 3 to 10 times; what packs a thousand times is one letter repeated.</summary>
    private const int MostRatio = 50;

    public static bool IsZipped(string path) => path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);

    public static StreamReader Open(string path)
    {
        var file = RegularFile.OpenRead(path);
        return new StreamReader(IsZipped(path) ? new Unpacked(file, FreeBytes + (MostRatio * file.Length)) : file);
    }

    /// <exception cref="FormatException">A line is too long; names it.</exception>
    public static IEnumerable<string> Lines(string path)
    {
        using var reader = Open(path);
        StringBuilder line = new();
        var buffer = new char[1 << 14];
        var number = 1L;
        var afterReturn = false;
        for (int read; (read = reader.Read(buffer)) > 0; )
        {
            for (var start = 0; start < read; )
            {
                if (afterReturn && buffer[start] == '\n')
                {
                    start++;
                    afterReturn = false;
                    continue;
                }
                var length = buffer.AsSpan(start, read - start).IndexOfAny('\r', '\n');
                line.Append(buffer, start, length < 0 ? read - start : length);
                if (line.Length > LongestLine)
                {
                    throw new FormatException($"line {number}: expected at most 16 Mi characters, found more");
                }
                if (length < 0)
                {
                    afterReturn = false;
                    break;
                }
                afterReturn = buffer[start + length] == '\r';
                start += length + 1;
                number++;
                yield return line.ToString();
                line.Clear();
            }
        }
        if (line.Length > 0)
        {
            yield return line.ToString();
        }
    }

    private sealed class Unpacked(FileStream file, long most) : GZipStream(file, CompressionMode.Decompress)
    {
        private long _read;

        public override int Read(byte[] buffer, int offset, int count) => Counted(base.Read(buffer, offset, count));

        public override int Read(Span<byte> buffer) => Counted(base.Read(buffer));

        private int Counted(int read)
        {
            _read += read;
            return _read <= most
                ? read
                : throw new InvalidDataException(
                    $"expected at most {most} bytes of data in a packed file of {file.Length}, found more; unpack it (gunzip)"
                );
        }
    }
}
