using System.Text;
using Slimming.Shared;

namespace Slimming.Evaluation.Items;

/// <summary>Texts of benchmark data, packed or not: no line and no unpacked file without an end.</summary>
internal static class DataText
{
    private const int LongestLine = 16 << 20;

    public static StreamReader Open(string path) => new(PackedFile.OpenRead(path));

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
}
