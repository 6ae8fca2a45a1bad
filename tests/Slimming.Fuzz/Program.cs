using System.Globalization;

namespace Slimming.Fuzz;

/// <summary>
/// <c>Slimming.Fuzz TARGET [--count N] [--first N] [--seed N] [--seconds N]</c>: broken files of one kind, or of all.
/// Exit code 1 where something happened that must not.
/// </summary>
internal static class Program
{
    public const int DefaultSeed = 20261126;

    public static int Main(string[] args)
    {
        if (args.Length == 0 || (args[0] != "all" && !Target.All.ContainsKey(args[0])))
        {
            Console.Error.WriteLine(
                $"usage: Slimming.Fuzz all|{string.Join('|', Target.All.Keys)} [--count N] [--first N] [--seed N] [--seconds N]"
            );
            return 2;
        }
        long option(string name, long value)
        {
            var at = Array.IndexOf(args, name);
            return at < 0 ? value : long.Parse(args[at + 1], CultureInfo.InvariantCulture);
        }
        var (count, first, seed) = (option("--count", 1000), option("--first", 0), (int)option("--seed", DefaultSeed));
        DateTime? until = args.Contains("--seconds") ? DateTime.UtcNow.AddSeconds(option("--seconds", 0)) : null;
        if (args.Contains(ChildRounds.ChildWord))
        {
            ChildRounds.Serve(args[0], seed, first, count, until);
            return 0;
        }
        var findings = 0;
        foreach (var name in args[0] == "all" ? Target.All.Keys : [args[0]])
        {
            var report = Run(name, seed, first, count, until);
            report.Write(Console.Out, name, seed);
            findings += report.Findings.Count(finding =>
                !finding.What.StartsWith(ChildRounds.Foreign, StringComparison.Ordinal)
            );
        }
        return findings == 0 ? 0 : 1;
    }

    /// <summary>In this process, or in a child where foreign code may end it.</summary>
    public static Report Run(string name, int seed, long first, long count, DateTime? until)
    {
        using var target = Target.All[name]();
        return target.IsForeign
            ? ChildRounds.Run(target, seed, first, count, until)
            : Rounds.Run(target, seed, first, count, until);
    }
}
