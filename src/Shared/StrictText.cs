using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Slimming.Gguf;

namespace Slimming.Shared;

/// <summary>Small text files that people write: read as UTF-8 or refused, never with replacement characters.</summary>
internal static class StrictText
{
    /// <summary>Far above any configuration, task or template; what is larger is another kind of file, or has no end.</summary>
    private const int MostBytes = 1 << 20;

    /// <exception cref="SlimmingException">Unreadable (2), too long (2), or no UTF-8 with its line and byte (2).</exception>
    public static string Read(string path)
    {
        var bytes = ReadBytes(path);
        if (NotUtf8(bytes) is { } fault)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: {fault}");
        }
        return Encoding.UTF8.GetString(bytes.StartsWith(Encoding.UTF8.Preamble) ? bytes[3..] : bytes);
    }

    /// <summary>"byte 12: ..." (from 1); null where all is UTF-8.</summary>
    public static string? NotUtf8(ReadOnlySpan<byte> text)
    {
        if (Utf8.IsValid(text))
        {
            return null;
        }
        var at = 0;
        while (Rune.DecodeFromUtf8(text[at..], out _, out var used) == OperationStatus.Done)
        {
            at += used;
        }
        return $"byte {at + 1}: found 0x{text[at]:X2}, which is no UTF-8; expected a text in UTF-8";
    }

    /// <summary>"byte 12: ..." (from 1); null where the text is empty or one JSON value.</summary>
    public static string? NotJson(byte[] line)
    {
        var text = line.AsSpan();
        text = text.StartsWith(Encoding.UTF8.Preamble) ? text[3..] : text;
        text = text.Trim(" \t\r"u8);
        if (text.IsEmpty)
        {
            return null;
        }
        Utf8JsonReader reader = new(text);
        try
        {
            // A line may hold a list: then the file is no JSONL, and lines say nothing.
            while (reader.Read())
            {
                if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName && reader.ValueIsEscaped)
                {
                    _ = reader.GetString();
                }
            }
            return null;
        }
        catch (InvalidOperationException)
        {
            return $"byte {reader.TokenStartIndex + 1}: found a text with one half of a surrogate pair (\\ud800 to \\udfff); "
                + "expected both halves";
        }
        catch (JsonException e)
        {
            return $"byte {e.BytePositionInLine + 1}: found no whole JSON object ({e.Message.Split(" LineNumber")[0]}); "
                + "expected one on each line";
        }
    }

    private static ReadOnlySpan<byte> ReadBytes(string path)
    {
        try
        {
            using var file = RegularFile.OpenRead(path);
            using MemoryStream bytes = new();
            var buffer = new byte[1 << 16];
            for (int read; (read = file.Read(buffer)) > 0; )
            {
                bytes.Write(buffer, 0, read);
                if (bytes.Length > MostBytes)
                {
                    throw new SlimmingException(
                        ExitCode.Usage,
                        $"{path}: expected a text of at most 1 MiB, found more; is it the right file?"
                    );
                }
            }
            return bytes.GetBuffer().AsSpan(0, (int)bytes.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: cannot read the file: {e.Message}", e);
        }
    }
}
