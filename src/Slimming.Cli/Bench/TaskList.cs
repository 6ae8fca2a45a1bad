using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Spectre.Console;

namespace Slimming.Cli.Bench;

/// <summary>The list of <c>bench --list</c>: what each built-in task measures and whether its data are at hand.</summary>
internal static class TaskList
{
    public static ExitCode Write(string dataDir, bool json, VerbContext context)
    {
        var tasks = TaskCatalog.BuiltIn.Select(task => (Task: task, Found: TaskInventory.Of(task, dataDir))).ToList();
        if (json)
        {
            context.WriteJson(new { DataDir = dataDir, Tasks = tasks.Select(entry => Entry(entry.Task, entry.Found)) });
            return ExitCode.Done;
        }
        var table = new Table()
            .Border(TableBorder.Minimal)
            .AddColumns("task", "items", "shots", "metrics", $"data below {Markup.Escape(dataDir)}", "what");
        table.Columns[1].RightAligned();
        table.Columns[2].RightAligned();
        foreach (var (task, found) in tasks)
        {
            table.AddRow(
                Markup.Escape(task.Group ?? task.Name),
                task.Items > 0 ? Number(task.Items) : "-",
                Number(task.FewShot.Count),
                string.Join(", ", task.Metrics),
                Markup.Escape(Data(task, found, dataDir)),
                Markup.Escape(task.About)
            );
        }
        context.OutputConsole().Write(table);
        context.Output.WriteLine(
            "Files named refs/convert/parquet/... lie in that branch of the data set's repository on huggingface.co."
        );
        return ExitCode.Done;
    }

    private static object Entry(TaskDefinition task, TaskInventory found) =>
        new
        {
            Name = task.Group ?? task.Name,
            task.Version,
            Kind = task.Kind.ToString(),
            task.About,
            Items = task.Items > 0 ? task.Items : (int?)null,
            Shots = task.FewShot.Count,
            task.Metrics,
            task.Data,
            Members = task.Variants.ConvertAll(variant => task.Name.Replace("*", variant, StringComparison.Ordinal)),
            Parts = task.Subgroups.Keys,
            AtHand = new
            {
                found.File,
                found.Rows,
                found.StandIn,
                found.ShotsFile,
                Members = found.MembersAtHand,
                found.Problem,
            },
            Source = found.Origin,
        };

    private static string Data(TaskDefinition task, TaskInventory found, string dataDir)
    {
        if (found.Problem is { } problem)
        {
            return problem;
        }
        if (found.MembersAtHand == 0)
        {
            return found.Origin.Length > 0 ? $"none; {found.Origin}" : "none";
        }
        if (task.Variants.Count > 0)
        {
            var rest = found.MembersAtHand < found.Members ? $"; {found.Origin}" : "";
            return $"{found.MembersAtHand} of {found.Members} members, {Number(found.Rows)} rows{rest}";
        }
        var file = Path.GetRelativePath(dataDir, found.File!);
        var shots = task.FewShot is { Count: > 0, Data.Count: > 0 } && found.ShotsFile is null ? "; no examples" : "";
        return found.StandIn
            ? $"{file}, {Number(found.Rows)} rows, another text of the kind; {found.Origin}"
            : $"{file}, {Number(found.Rows)} rows{shots}";
    }

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
