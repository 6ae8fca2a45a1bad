using System.CommandLine;
using Slimming.Cli.Bench;
using Slimming.Cli.CommandLine;
using Slimming.Evaluation;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Results;
using Slimming.Training;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming rescore</c>: changed extraction or metrics on stored answers, without a model.</summary>
internal static class RescoreVerb
{
    public static Command Create()
    {
        Argument<string> folder = new("dir") { Description = "Folder that bench wrote." };
        Option<string> output = new("--out") { Description = "Folder for the new scores.", Required = true };
        Option<string[]> tasks = new("--tasks")
        {
            Description = "Task files (or names) to score by, separated by commas [the built-in ones].",
            AllowMultipleArgumentsPerToken = true,
        };
        var force = SharedOptions.Force();
        var json = SharedOptions.Json();
        Command command = new(
            "rescore",
            "Applies changed answer rules and metrics to the stored answers of a bench run, without a model."
        )
        {
            folder,
            output,
            tasks,
            force,
            json,
        };
        return command
            .Handle(
                (parsed, context) =>
                    Run(
                        parsed.GetRequiredValue(folder),
                        parsed.GetRequiredValue(output),
                        [
                            .. (parsed.GetValue(tasks) ?? []).SelectMany(names =>
                                names.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                            ),
                        ],
                        parsed.GetValue(force),
                        parsed.GetValue(json),
                        context
                    )
            )
            .WithExamples(
                "slimming rescore results/tuned --out results/tuned-new",
                "slimming rescore results/tuned --tasks my-gsm8k.yaml --out results/tuned-mine"
            );
    }

    internal static ExitCode Run(
        string folder,
        string output,
        string[] tasks,
        bool force,
        bool json,
        VerbContext context
    )
    {
        using var from = ResultsStore.OpenFinished(folder);
        var target = Path.GetFullPath(output);
        var source = Path.GetFullPath(from.Folder);
        if (target == source || target == Path.GetDirectoryName(source))
        {
            throw new SlimmingException(ExitCode.Usage, $"--out {output}: is the folder that is read; choose another");
        }
        var names = Rescorer.Tasks(from);
        var selection = TaskSelection.Of(tasks, task => names.Contains(task.Name));
        if (tasks.Length > 0 && selection.Tasks.Count == 0)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--tasks {string.Join(',', tasks)}: no task of it is in {from.Folder}; it has {string.Join(", ", names)}"
            );
        }
        var rescorer = new Rescorer(from, selection.Tasks);
        using var to = ResultsStore.OpenForWriting(output, rescorer.Info, force);
        var (metrics, changed) = rescorer.Run(to, RunRecord.Build().Commit, context.Token);
        if (json)
        {
            context.WriteJson(
                new
                {
                    to.Folder,
                    Metrics = metrics,
                    Changed = changed,
                }
            );
            return ExitCode.Done;
        }
        BenchDisplay.WriteTable(context, metrics);
        foreach (var task in changed)
        {
            context.Say($"{task.Task}: {task.Items} item(s) changed");
        }
        context.Output.WriteLine(to.Folder);
        return ExitCode.Done;
    }
}
