using System.Diagnostics;

namespace Slimming.Training;

/// <summary>Resident memory of this process.</summary>
public static class ProcessMemory
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
}
