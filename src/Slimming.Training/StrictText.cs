using System.Text;
using Slimming.Gguf;
using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>Small text files that people write: read as UTF-8 or refused, never with replacement characters.</summary>
internal static class StrictText
{
    /// <exception cref="SlimmingException">Unreadable (2), or no UTF-8 with its line and byte (2).</exception>
    public static string Read(string path)
    {
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: cannot read the file: {e.Message}", e);
        }
        if (TextFile.NotUtf8(bytes) is { } fault)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: {fault}");
        }
        var text = bytes.AsSpan();
        return Encoding.UTF8.GetString(text.StartsWith(Encoding.UTF8.Preamble) ? text[3..] : text);
    }
}
