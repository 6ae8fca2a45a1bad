using System.Diagnostics;

namespace Slimming.Cli.Tests.Reliability;

/// <summary>Starts the program again and again and ends it with SIGKILL at random moments, all drawn from one seed.</summary>
internal sealed class KillHarness(Installation installation, int seed)
{
    private readonly Random _random = new(seed);

    /// <summary>Processes that were killed while they ran.</summary>
    public int Kills { get; private set; }

    /// <summary>Time from start to end of the slowest run that ended by itself: moments are drawn from it.</summary>
    public TimeSpan Longest { get; private set; } = TimeSpan.FromSeconds(1);

    /// <summary>Runs to its end and expects exit code 0.</summary>
    public void Undisturbed(string[] args)
    {
        var clock = Stopwatch.StartNew();
        var (code, error) = installation.Run(args);
        code.ShouldBe(0, error);
        Longest = clock.Elapsed > Longest ? clock.Elapsed : Longest;
    }

    /// <summary>
    /// Runs <paramref name="args"/> and kills it, one time in two at any moment of a whole run, else once
    /// <paramref name="ripe"/> holds (a file is being written) and up to 3 ms have passed.
    /// </summary>
    /// <returns>Whether it was killed; false: it ended first, with exit code 0.</returns>
    public bool Kill(string[] args, Func<bool> ripe)
    {
        var anyMoment = _random.Next(2) == 0;
        var moment = Longest * _random.NextDouble();
        var wait = TimeSpan.FromMilliseconds(3 * _random.NextDouble());
        using var process = installation.Start(args);
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        var clock = Stopwatch.StartNew();
        while (!process.HasExited && !(anyMoment ? clock.Elapsed >= moment : ripe()))
        {
            Thread.Sleep(anyMoment ? TimeSpan.FromMilliseconds(1) : TimeSpan.Zero);
        }
        for (clock.Restart(); !anyMoment && clock.Elapsed < wait; ) { }
        process.Kill();
        process.WaitForExit();
        Task.WaitAll(output, error);
        const int killed = 128 + 9;
        if (process.ExitCode == killed)
        {
            Kills++;
            return true;
        }
        process.ExitCode.ShouldBe(0, error.Result);
        return false;
    }
}
