using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.TestSupport;

namespace Slimming.Cli.Tests;

/// <summary>What a command line answered.</summary>
public sealed record CliAnswer(ExitCode Code, string Output, string Error);

/// <summary>Runs the program in this process, as <c>Main</c> does.</summary>
internal static class Cli
{
    public static CliAnswer Run(params string[] args) => Run(args, CancellationToken.None);

    public static CliAnswer Run(string[] args, CancellationToken token, TextWriter? error = null)
    {
        using StringWriter output = new();
        error ??= new StringWriter();
        var code = Program.Run(args, output, error, token);
        return new CliAnswer(code, output.ToString(), error.ToString()!);
    }

    /// <summary>Runs and expects exit code 0; the answer's error text is the failure message.</summary>
    public static CliAnswer Done(params string[] args)
    {
        var answer = Run(args);
        answer.Code.ShouldBe(ExitCode.Done, answer.Error);
        return answer;
    }

    public static string Fixture(string path) => Path.Combine(SharedFiles.RepoRoot, "tests", "fixtures", path);

    /// <summary>Rows of metrics.jsonl without the two columns that clocks fill.</summary>
    public static List<string> Metrics(string run) =>
        [
            .. File.ReadLines(Path.Combine(run, "metrics.jsonl"))
                .Select(line =>
                {
                    var row = JsonNode.Parse(line)!.AsObject();
                    row.Remove("tokens_per_s").ShouldBeTrue(line);
                    row.Remove("seconds").ShouldBeTrue(line);
                    return row.ToJsonString();
                }),
        ];
}

/// <summary>A folder that goes with the test.</summary>
public sealed class TempFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("slimming-test-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public string Write(string name, string text)
    {
        File.WriteAllText(this[name], text);
        return this[name];
    }
}
