using System.Text;
using Slimming.Shared;

namespace Slimming.Evaluation.Items;

/// <summary>Texts of benchmark data, packed or not: no line and no unpacked file without an end.</summary>
internal static class DataText
{
    private const int LongestLine = 16 << 20;

    /// <summary>Never with replacement characters: they would be scored as if they were the text.</summary>
    private static readonly UTF8Encoding Strict = new(
        encoderShouldEmitUTF8Identifier: false,
        throwOnInvalidBytes: true
    );

    public static StreamReader Open(string path) => new(PackedFile.OpenRead(path), Strict);

    /// <summary>What is wrong with a text that is no UTF-8.</summary>
    public static string NotUtf8(DecoderFallbackException error) =>
        $"found 0x{Convert.ToHexString(error.BytesUnknown ?? [])}, which is no UTF-8; expected a text in UTF-8";

    /// <exception cref="FormatException">A line is too long or no UTF-8; names it.</exception>
    public static IEnumerable<string> Lines(string path)
    {
        using var reader = Open(path);
        StringBuilder line = new();
        var buffer = new char[1 << 14];
        var number = 1L;
        var afterReturn = false;
        for (int read; (read = Read(reader, buffer, number)) > 0; )
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

    private static int Read(StreamReader reader, char[] buffer, long line)
    {
        try
        {
            return reader.Read(buffer);
        }
        catch (DecoderFallbackException error)
        {
            throw new FormatException($"line {line} or soon after it: {NotUtf8(error)}", error);
        }
    }
}
