using System.Diagnostics;
using System.Globalization;

namespace Slimming.Fuzz;

/// <summary>Rounds in a child process that foreign native code may end; the next child goes on behind the case that did it.</summary>
internal static class ChildRounds
{
    public const string ChildWord = "--child";

    /// <summary>How a finding begins whose cause lies inside llama.cpp or DuckDB.</summary>
    public const string Foreign = "foreign code ended the process";

    private const string Result = "result ";
    private const string Begun = "case ";

    /// <summary>Times the longest that a case may take.</summary>
    private const int Slices = 12;

    public static Report Run(Target target, int seed, long first, long count, DateTime? until)
    {
        Report report = new();
        var end = first + count;
        while (first < end && !(DateTime.UtcNow >= until))
        {
            var next = OneChild(target, seed, first, end - first, until, report);
            if (next <= first)
            {
                report.Findings.Add(new Finding(target.Name, seed, first, "-", "the child process did not start"));
                break;
            }
            first = next;
        }
        return report;
    }

    /// <summary>The child's side: tells each case before it begins, and the sums at the end.</summary>
    public static void Serve(string name, int seed, long first, long count, DateTime? until)
    {
        using var target = Target.All[name]();
        using StreamWriter output = new(Console.OpenStandardOutput()) { AutoFlush = true };
        var report = Rounds.Run(target, seed, first, count, until, number => output.WriteLine($"{Begun}{number}"));
        foreach (var finding in report.Findings)
        {
            output.WriteLine(
                $"finding {finding.Case} {finding.Kind.Replace(' ', '_')} {finding.What.ReplaceLineEndings(" ")}"
            );
        }
        output.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{Result}{report.Accepted} {report.Refused} {report.Slowest.Ticks} {report.MostAllocated}"
            )
        );
    }

    /// <summary>The case to go on with.</summary>
    private static long OneChild(Target target, int seed, long first, long count, DateTime? until, Report report)
    {
        using var child = Start(target, seed, first, count, until);
        var error = child.StandardError.ReadToEndAsync();
        var number = first - 1;
        var finished = false;
        while (ReadLine(child) is { } line)
        {
            if (line.StartsWith(Begun, StringComparison.Ordinal))
            {
                number = long.Parse(line[Begun.Length..], CultureInfo.InvariantCulture);
                _ = Rounds.Make(target, seed, number, out var kind);
                report.Cases++;
                report.ByKind[kind] = report.ByKind.GetValueOrDefault(kind) + 1;
            }
            else if (line.StartsWith(Result, StringComparison.Ordinal))
            {
                Add(report, line[Result.Length..].Split(' '));
                finished = true;
            }
            else if (line.Split(' ', 4) is ["finding", var at, var what, var text])
            {
                var found = long.Parse(at, CultureInfo.InvariantCulture);
                report.Findings.Add(new Finding(target.Name, seed, found, what, text));
            }
        }
        var hung = !child.WaitForExit(1000);
        if (hung)
        {
            child.Kill();
            child.WaitForExit();
        }
        if (finished)
        {
            return first + count;
        }
        if (number >= first)
        {
            report.Findings.Add(new Finding(target.Name, seed, number, "-", Ending(child, hung, error.Result)));
        }
        return number + 1;
    }

    /// <summary>What .NET itself says of an exception or a stack overflow is ours, and so is a case without an end.</summary>
    private static string Ending(Process child, bool hung, string error)
    {
        if (hung)
        {
            return $"no answer in {(Slices * Rounds.MostTime).TotalSeconds} s";
        }
        string[] ours = ["Unhandled exception", "Stack overflow", "Out of memory"];
        var whose = ours.Any(error.Contains) ? "our code ended the process" : Foreign;
        return $"{whose}: exit code {child.ExitCode}: {error.Trim().Split('\n')[^1]}";
    }

    /// <summary>Null at the end, and where nothing comes for far longer than a case may take: the machine may be busy.</summary>
    private static string? ReadLine(Process child)
    {
        var line = child.StandardOutput.ReadLineAsync();
        // In slices: a machine that stood still meanwhile takes one of them.
        for (var slice = 0; slice < Slices; slice++)
        {
            if (line.Wait(Rounds.MostTime))
            {
                return line.Result;
            }
        }
        return null;
    }

    private static Process Start(Target target, int seed, long first, long count, DateTime? until)
    {
        var program = typeof(ChildRounds).Assembly.Location;
        List<string> args =
        [
            "exec",
            "--runtimeconfig",
            Path.ChangeExtension(program, ".runtimeconfig.json"),
            program,
            target.Name,
            ChildWord,
            "--seed",
            $"{seed}",
            "--first",
            $"{first}",
            "--count",
            $"{count}",
        ];
        if (until is { } end)
        {
            args.AddRange(["--seconds", $"{(long)Math.Max(1, (end - DateTime.UtcNow).TotalSeconds)}"]);
        }
        return Process.Start(
            new ProcessStartInfo("dotnet", args)
            {
                RedirectStandardError = true,
                RedirectStandardOutput = true,
                UseShellExecute = false,
            }
        )!;
    }

    private static void Add(Report report, string[] sums)
    {
        long sum(int at) => long.Parse(sums[at], CultureInfo.InvariantCulture);
        report.Accepted += sum(0);
        report.Refused += sum(1);
        var slowest = TimeSpan.FromTicks(sum(2));
        report.Slowest = slowest > report.Slowest ? slowest : report.Slowest;
        report.MostAllocated = Math.Max(report.MostAllocated, sum(3));
    }
}
