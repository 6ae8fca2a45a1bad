using System.Diagnostics;
using System.Globalization;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Fuzz;

/// <summary>Something that must not happen, with the case that makes it happen again.</summary>
internal sealed record Finding(string Target, int Seed, long Case, string Kind, string What);

/// <summary>What a round of cases came to.</summary>
internal sealed class Report
{
    public long Cases { get; set; }

    /// <summary>Files that were read without an error: the damage changed nothing that is checked.</summary>
    public long Accepted { get; set; }

    /// <summary>Files answered with an error meant for the user.</summary>
    public long Refused { get; set; }

    public TimeSpan Slowest { get; set; }

    public long MostAllocated { get; set; }

    public SortedDictionary<string, long> ByKind { get; } = new(StringComparer.Ordinal);

    public List<Finding> Findings { get; } = [];

    public void Write(TextWriter output, string target, int seed)
    {
        output.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{target}: {Cases:N0} cases of seed {seed}, {Refused:N0} refused, {Accepted:N0} accepted, {Findings.Count} findings; slowest {Slowest.TotalSeconds:0.000} s, most allocated {MostAllocated / 1048576.0:0.0} MiB"
            )
        );
        output.WriteLine(
            "  "
                + string.Join(
                    ", ",
                    ByKind.Select(kind => string.Create(CultureInfo.InvariantCulture, $"{kind.Key} {kind.Value:N0}"))
                )
        );
        foreach (var finding in Findings)
        {
            output.WriteLine($"  case {finding.Case} ({finding.Kind}): {finding.What}");
        }
    }
}

/// <summary>Runs cases of a target in this process and holds each to the bars.</summary>
internal static class Rounds
{
    /// <summary>Longest that one file may take.</summary>
    public static readonly TimeSpan MostTime = TimeSpan.FromSeconds(5);

    private const string TooLong = "took";

    /// <param name="target">Not disposed.</param>
    /// <param name="seed">Of all cases.</param>
    /// <param name="first">First case.</param>
    /// <param name="count">How many.</param>
    /// <param name="until">Ends the round early.</param>
    /// <param name="begin">Told the number of each case before it is read.</param>
    public static Report Run(
        Target target,
        int seed,
        long first,
        long count,
        DateTime? until = null,
        Action<long>? begin = null
    )
    {
        Report report = new();
        var folder = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();
        var path = Path.Combine(folder, $"slimming-fuzz-{Environment.ProcessId}-{target.Name}{target.Extension}");
        try
        {
            Warm(target, path);
            for (var number = first; number < first + count && !(DateTime.UtcNow >= until); number++)
            {
                var bytes = Make(target, seed, number, out var kind);
                File.WriteAllBytes(path, bytes);
                begin?.Invoke(number);
                if (One(target, path, bytes.Length, report) is { } what && Stands(target, path, bytes.Length, what))
                {
                    report.Findings.Add(new Finding(target.Name, seed, number, kind, what));
                }
                report.Cases++;
                report.ByKind[kind] = report.ByKind.GetValueOrDefault(kind) + 1;
            }
        }
        finally
        {
            File.Delete(path);
        }
        return report;
    }

    public static byte[] Make(Target target, int seed, long number, out string kind) =>
        target.Make(new Random(unchecked((int)(number * 2654435761) ^ seed)), out kind);

    /// <summary>What must not have happened, or null.</summary>
    private static string? One(Target target, string path, int bytes, Report report)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var clock = Stopwatch.StartNew();
        var busy = Environment.CpuUsage.TotalTime;
        string? what = null;
        try
        {
            target.Read(path);
            report.Accepted++;
        }
        catch (Exception e) when (e is SlimmingException or ResultsException)
        {
            report.Refused++;
        }
        catch (Exception e)
        {
            what = $"{e.GetType().Name}: {e.Message} {e.StackTrace?.Split('\n')[0].Trim()}";
        }
        // On a machine with other work, or one that stood still, the clock says nothing of the file.
        var worked = Environment.CpuUsage.TotalTime - busy;
        var time = worked < clock.Elapsed ? worked : clock.Elapsed;
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        report.Slowest = time > report.Slowest ? time : report.Slowest;
        report.MostAllocated = Math.Max(allocated, report.MostAllocated);
        return what
            ?? (
                time > MostTime ? $"{TooLong} {time.TotalSeconds:0.0} s"
                : allocated > target.FreeBytes + 4L * bytes && target is not TemplateTarget
                    ? $"allocated {allocated} bytes for a file of {bytes}"
                : null
            );
    }

    /// <summary>On a busy machine any file may take long once: what is slow is so twice.</summary>
    private static bool Stands(Target target, string path, int bytes, string what) =>
        !what.StartsWith(TooLong, StringComparison.Ordinal) || One(target, path, bytes, new Report()) is not null;

    /// <summary>Compiling and loading libraries belong to no case.</summary>
    private static void Warm(Target target, string path)
    {
        Report ignored = new();
        for (var i = 0; i < 20; i++)
        {
            var bytes = Make(target, -1, i, out _);
            File.WriteAllBytes(path, bytes);
            if (target.IsForeign)
            {
                break;
            }
            One(target, path, bytes.Length, ignored);
        }
    }
}
