using System.CommandLine;
using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Cli.Doctor;
using Slimming.Gguf;
using Spectre.Console;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming doctor</c>: what this machine and this installation can do.</summary>
internal static class DoctorVerb
{
    public static Command Create()
    {
        var json = SharedOptions.Json();
        Command command = new("doctor", "Lists native libraries and CPU features and runs the self-checks.") { json };
        return command
            .Handle((parsed, context) => Run(parsed.GetValue(json), context))
            .WithExamples("slimming doctor", "slimming doctor --json");
    }

    internal static ExitCode Run(bool json, VerbContext context)
    {
        var diagnosis = Diagnosis.Make();
        if (json)
        {
            context.WriteJson(diagnosis);
        }
        else
        {
            Write(diagnosis, context.OutputConsole());
        }
        foreach (var problem in diagnosis.Problems)
        {
            context.Error.WriteLine(ShownText.Message($"error: {problem}"));
        }
        return diagnosis.Ok ? ExitCode.Done : ExitCode.Failed;
    }

    private static void Write(Diagnosis diagnosis, IAnsiConsole console)
    {
        console.WriteLine($"slimming {diagnosis.Version}");
        if (diagnosis.Cpu is { } cpu)
        {
            console.WriteLine($"CPU      {cpu.Name}, {cpu.Threads} threads, kernels {cpu.Isa}");
            console.WriteLine($"features {string.Join(", ", cpu.Features)}");
            console.WriteLine($"levels   {Levels(cpu.Levels)}");
            foreach (var level in cpu.Levels.Where(level => level.Note is not null))
            {
                console.WriteLine($"         {level.Name}: {level.Note}");
            }
            console.WriteLine($"compute  {string.Join(", ", diagnosis.ComputeModes)}");
        }
        var libraries = new Table()
            .Border(TableBorder.Minimal)
            .AddColumns("library", "version", "state", "SHA-256", "path");
        foreach (var library in diagnosis.Libraries)
        {
            libraries.AddRow(
                Cells(
                    library.Name,
                    library.Version ?? "",
                    library.Problem is null ? library.State : "WRONG",
                    library.Sha256,
                    library.Path
                )
            );
        }
        console.Write(libraries);
        if (diagnosis.Checks.Count == 0)
        {
            return;
        }
        var checks = new Table()
            .Border(TableBorder.Minimal)
            .AddColumns("self-check", "result", "difference", "allowed");
        foreach (var check in diagnosis.Checks)
        {
            checks.AddRow(
                Cells(check.Name, check.Passed ? "passed" : "FAILED", Number(check.Difference), Number(check.Tolerance))
            );
        }
        console.Write(checks);
    }

    private static string Levels(IReadOnlyList<LevelState> levels)
    {
        var offered = string.Join(", ", levels.Where(level => level.Offered).Select(level => level.Name));
        var others = string.Join(", ", levels.Where(level => !level.Offered).Select(level => level.Name));
        return others.Length == 0 ? offered : $"{offered}; built, but not offered by this machine: {others}";
    }

    private static Markup[] Cells(params string[] texts) => [.. texts.Select(text => new Markup(Markup.Escape(text)))];

    private static string Number(double value) => value.ToString("0.0e+0", CultureInfo.InvariantCulture);
}
