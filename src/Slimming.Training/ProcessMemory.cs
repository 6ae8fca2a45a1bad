using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Slimming.Training;

/// <summary>Resident memory of this process.</summary>
public static partial class ProcessMemory
{
    /// <summary>Largest resident set so far.</summary>
    public static long PeakBytes
    {
        get
        {
            using var process = Process.GetCurrentProcess();
            return process.PeakWorkingSet64;
        }
    }

    /// <summary>
    /// Returns to the system what was needed until now and is free: garbage, and the C library's empty pages. A
    /// vocabulary and the rows it made tokens of leave some 40 MiB behind, which a run would hold for all its time.
    /// </summary>
    internal static void GiveBack()
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        if (HasTrim)
        {
            _ = Trim(0);
        }
    }

    /// <summary>Other C libraries than glibc have no such call.</summary>
    private static bool HasTrim { get; } =
        NativeLibrary.TryLoad("libc.so.6", out var library)
        && NativeLibrary.TryGetExport(library, "malloc_trim", out _);

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int Trim(nuint pad);
}
