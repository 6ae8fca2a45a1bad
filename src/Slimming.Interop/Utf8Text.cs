using System.Runtime.InteropServices;
using System.Text;
using Slimming.Gguf;

namespace Slimming.Interop;

/// <summary>C strings that live as long as this object.</summary>
internal sealed unsafe class Utf8Text : IDisposable
{
    private readonly List<nint> _texts = [];

    public sbyte* Add(string text)
    {
        if (text.Contains('\0', StringComparison.Ordinal))
        {
            throw new SlimmingException(ExitCode.Usage, $"name '{text}': expected no NUL character");
        }
        var pointer = Marshal.StringToCoTaskMemUTF8(text);
        _texts.Add(pointer);
        return (sbyte*)pointer;
    }

    public static string Read(ReadOnlySpan<sbyte> buffer)
    {
        var bytes = MemoryMarshal.AsBytes(buffer);
        var end = bytes.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
    }

    public void Dispose()
    {
        foreach (var text in _texts)
        {
            Marshal.FreeCoTaskMem(text);
        }
        _texts.Clear();
    }
}
