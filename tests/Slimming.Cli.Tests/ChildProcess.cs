using System.Diagnostics;

namespace Slimming.Cli.Tests;

/// <summary>Runs another program to its end.</summary>
internal static class ChildProcess
{
    /// <summary>Runs in <paramref name="folder"/>, expects exit code 0, and gives its standard output.</summary>
    public static string Done(
        string program,
        string folder,
        IEnumerable<string> args,
        IReadOnlyDictionary<string, string>? environment = null
    )
    {
        ProcessStartInfo start = new(program, args)
        {
            WorkingDirectory = folder,
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        process.ExitCode.ShouldBe(0, $"{program} {string.Join(' ', args)}\n{output}\n{error.Result}");
        return output;
    }
}
