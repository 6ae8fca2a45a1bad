using System.Diagnostics;
using System.Runtime.InteropServices;
using Slimming.Gguf;

namespace Slimming.Interop;

/// <summary>Turns a status of the library into an exception, with the text that the call wrote.</summary>
internal static unsafe class Status
{
    /// <summary>Of the text buffer that every call passes.</summary>
    public const int ErrorBytes = 2048;

    [StackTraceHidden]
    public static void Check(slm_status status, sbyte* error)
    {
        if (status == slm_status.SLM_STATUS_OK)
        {
            return;
        }
        var text = Marshal.PtrToStringUTF8((nint)error);
        throw ToException(status, string.IsNullOrEmpty(text) ? $"libslimming: {status}" : text);
    }

    public static Exception ToException(slm_status status, string text) =>
        status switch
        {
            slm_status.SLM_STATUS_INVALID_ARGUMENT or slm_status.SLM_STATUS_UNSUPPORTED => new SlimmingException(
                ExitCode.Usage,
                text
            ),
            slm_status.SLM_STATUS_OUT_OF_MEMORY or slm_status.SLM_STATUS_INTERNAL or slm_status.SLM_STATUS_DATA_LOST =>
                new SlimmingException(ExitCode.Failed, text),
            slm_status.SLM_STATUS_NONFINITE => new NonFiniteException(text),
            slm_status.SLM_STATUS_CANCELLED => new OperationCanceledException(text),
            _ => new SlimmingException(ExitCode.Failed, $"libslimming: unknown status {(uint)status}: {text}"),
        };
}
