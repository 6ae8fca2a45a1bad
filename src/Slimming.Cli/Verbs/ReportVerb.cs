using System.CommandLine;
using System.Text;
using Slimming.Cli.CommandLine;
using Slimming.Cli.Report;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming report</c>: loss curves, score table, answers and settings on one page.</summary>
internal static class ReportVerb
{
    public static Command Create()
    {
        var folders = new Argument<string[]>("dir")
        {
            Description =
                "Run folders of train and results folders of bench, or folders above them; scores in this order.",
            Arity = ArgumentArity.OneOrMore,
        };
        var output = new Option<string>("--out") { Description = "The HTML file.", Required = true };
        var force = SharedOptions.Force();
        var json = SharedOptions.Json();
        Command command = new("report", "Writes curves, scores and settings as one self-contained HTML file.")
        {
            folders,
            output,
            force,
            json,
        };
        return command
            .Handle(
                (parsed, context) =>
                    Run(
                        parsed.GetRequiredValue(folders),
                        parsed.GetRequiredValue(output),
                        parsed.GetValue(force),
                        parsed.GetValue(json),
                        context
                    )
            )
            .WithExamples(
                "slimming report runs/a results/base results/adapter --out report.html",
                "slimming report runs --out report.html --force"
            );
    }

    internal static ExitCode Run(string[] folders, string output, bool force, bool json, VerbContext context)
    {
        if (Directory.Exists(output))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--out {output}: is a folder; expected the name of an HTML file"
            );
        }
        if (File.Exists(output) && !force)
        {
            throw new SlimmingException(ExitCode.Refused, $"--out {output}: exists; pass --force to overwrite it");
        }
        var sources = ReportSources.Find(folders);
        foreach (var folder in sources.Unfinished)
        {
            context.Warn($"{folder} is not finished (no DONE file)");
        }
        if (sources.Training.Count == 0 && sources.Scores.Count == 0)
        {
            throw new SlimmingException(ExitCode.Usage, "nothing to report: no run in these folders is finished");
        }
        var html = ReportPage.Write(sources);
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(output))!);
        Durable.WriteAtomically(output, stream => stream.Write(Encoding.UTF8.GetBytes(html)));
        if (json)
        {
            context.WriteJson(
                new
                {
                    Out = output,
                    Training = sources.Training.Select(t => t.Folder),
                    Scores = sources.Scores.Select(s => s.Folder),
                    sources.Unfinished,
                }
            );
        }
        else
        {
            context.Say($"{output}: {sources.Training.Count} training run(s), {sources.Scores.Count} scored run(s)");
        }
        return ExitCode.Done;
    }
}
