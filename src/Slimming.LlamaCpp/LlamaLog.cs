using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Slimming.LlamaCpp.Interop;

namespace Slimming.LlamaCpp;

/// <summary>Keeps llama.cpp quiet and remembers its last warnings and errors, so that a failure can quote them.</summary>
internal static unsafe class LlamaLog
{
    private const int KeptLines = 6;
    private static readonly Lock Gate = new();
    private static readonly Queue<string> Lines = new();
    private static readonly StringBuilder Current = new();
    private static ggml_log_level _level;

    public static void Install() => LlamaNative.llama_log_set(&OnLog, null);

    /// <summary>Forgets earlier lines: called before an operation whose failure would be explained by later ones.</summary>
    public static void Clear()
    {
        lock (Gate)
        {
            Lines.Clear();
        }
    }

    /// <summary>The remembered lines joined by "; ", or a fixed text where there are none.</summary>
    public static string Last()
    {
        lock (Gate)
        {
            return Lines.Count == 0 ? "llama.cpp gave no reason" : string.Join("; ", Lines);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnLog(ggml_log_level level, sbyte* text, void* userData)
    {
        try
        {
            Append(level, Marshal.PtrToStringUTF8((nint)text) ?? "");
        }
        catch (Exception)
        {
            // An exception must not cross into native frames, and a lost log line changes no result.
        }
    }

    private static void Append(ggml_log_level level, string text)
    {
        lock (Gate)
        {
            // Long lines arrive in pieces: the first carries the level, the others say "continued".
            if (level != ggml_log_level.GGML_LOG_LEVEL_CONT)
            {
                Current.Clear();
                _level = level;
            }
            Current.Append(text);
            if (!text.EndsWith('\n'))
            {
                return;
            }
            var line = Current.ToString().Trim();
            Current.Clear();
            if (line.Length > 0 && _level is ggml_log_level.GGML_LOG_LEVEL_WARN or ggml_log_level.GGML_LOG_LEVEL_ERROR)
            {
                Lines.Enqueue(line);
                while (Lines.Count > KeptLines)
                {
                    Lines.Dequeue();
                }
            }
        }
    }
}
