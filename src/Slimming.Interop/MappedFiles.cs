using Slimming.Gguf;

namespace Slimming.Interop;

/// <summary>Mapped files under work: a page that is lost reads as zeros, and is told here.</summary>
public static class MappedFiles
{
    /// <summary>From here on the loss of a page does not end the process.</summary>
    public static void Guard() => SlimmingLibrary.EnsureLoaded();

    /// <exception cref="SlimmingException">Exit code 1: pages are lost; nothing computed since is to be used.</exception>
    public static void Check()
    {
        if (SlimmingNative.slm_lost_pages() is var pages and > 0)
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{pages} pages of a mapped file are gone: it became shorter while it was in use, or its disk failed"
            );
        }
    }
}
