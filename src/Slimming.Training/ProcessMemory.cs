using System.Diagnostics;
using System.Globalization;

namespace Slimming.Training;

/// <summary>Resident memory of this process, and what the machine has left.</summary>
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

    /// <summary>
    /// Bytes that can be used without swapping: what the kernel calls available, or less where the process is held to less.
    /// </summary>
    public static long AvailableBytes
    {
        get
        {
            var total = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            const string Key = "MemAvailable:";
            const string Info = "/proc/meminfo";
            var line = File.Exists(Info)
                ? File.ReadLines(Info).FirstOrDefault(text => text.StartsWith(Key, StringComparison.Ordinal))
                : null;
            return line is null
                ? total
                : Math.Min(total, long.Parse(line[Key.Length..^2].Trim(), CultureInfo.InvariantCulture) * 1024);
        }
    }
}
