using System.Diagnostics;

namespace Slimming.Cli.Tests;

/// <summary>The program as a user has it, in a folder of its own whose native libraries a test may replace.</summary>
internal sealed class Installation : IDisposable
{
    private readonly TempFolder _temp = new();

    public Installation()
    {
        foreach (var file in Directory.EnumerateFiles(AppContext.BaseDirectory))
        {
            var name = Path.GetFileName(file);
            if (Path.GetExtension(name) is ".dll" or ".json" && !name.StartsWith("xunit", StringComparison.Ordinal))
            {
                File.CreateSymbolicLink(_temp[name], file);
            }
        }
        // The runtime looks for these beside the real file, so they are copies.
        foreach (var name in new[] { "slimming.dll", "slimming.runtimeconfig.json", "slimming.deps.json" })
        {
            File.Delete(_temp[name]);
            File.Copy(Path.Combine(AppContext.BaseDirectory, name), _temp[name]);
        }
        Link((string)AppContext.GetData("Slimming.NativeDirectory")!, Native);
    }

    /// <summary>Its native folder: links to the real libraries.</summary>
    public string Native => _temp["native"];

    /// <summary>How a shell starts it.</summary>
    public string CommandLine => $"dotnet {_temp["slimming.dll"]}";

    public Process Start(string[] args, params (string Name, string Value)[] environment)
    {
        // A test host started in the background ignores Ctrl-C, and its children would too.
        ProcessStartInfo start = new("env", ["--default-signal=INT", "dotnet", _temp["slimming.dll"], .. args])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }
        return Process.Start(start)!;
    }

    public (int Code, string Error) Run(string[] args, params (string Name, string Value)[] environment)
    {
        using var process = Start(args, environment);
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEnd();
        output.Wait();
        process.WaitForExit();
        return (process.ExitCode, error);
    }

    public void Dispose() => _temp.Dispose();

    private static void Link(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from))
        {
            File.CreateSymbolicLink(Path.Combine(to, Path.GetFileName(file)), Path.GetFullPath(file));
        }
        foreach (var folder in Directory.EnumerateDirectories(from))
        {
            Link(folder, Path.Combine(to, Path.GetFileName(folder)));
        }
    }
}
