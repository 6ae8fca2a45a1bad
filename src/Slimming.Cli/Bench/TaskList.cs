using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Spectre.Console;

namespace Slimming.Cli.Bench;

/// <summary>The list of <c>bench --list</c>: what each built-in task measures and whether its data are at hand.</summary>
internal static class TaskList
{
    /// <param name="names">Tasks to list; none for all that are built in.</param>
    /// <param name="dataDir">Folder below which their data are looked for.</param>
    /// <param name="json">One object instead of a table.</param>
    /// <param name="context">Where it is written.</param>
    public static ExitCode Write(IReadOnlyList<string> names, string dataDir, bool json, VerbContext context)
    {
        var listed = names.Count > 0 ? [.. names.Select(TaskCatalog.Find)] : TaskCatalog.BuiltIn;
        var tasks = listed.Select(task => (Task: task, Found: TaskInventory.Of(task, dataDir))).ToList();
        if (json)
        {
            context.WriteJson(new { DataDir = dataDir, Tasks = tasks.Select(entry => Entry(entry.Task, entry.Found)) });
            return ExitCode.Done;
        }
        var table = new Table()
            .Border(TableBorder.Minimal)
            .AddColumns("task", "items", "shots", "metrics", $"data below {Markup.Escape(dataDir)}");
        table.Columns[1].RightAligned();
        table.Columns[2].RightAligned();
        foreach (var (task, found) in tasks)
        {
            table.AddRow(
                Markup.Escape(task.Group ?? task.Name),
                task.Items > 0 ? Number(task.Items) : "-",
                Number(task.FewShot.Count),
                string.Join(", ", task.Metrics),
                Markup.Escape(Data(task, found, dataDir))
            );
        }
        context.OutputConsole().Write(table);
        var absent = tasks.Where(entry => !IsWhole(entry.Found) && entry.Found.Origin.Length > 0).ToList();
        if (absent.Count > 0)
        {
            context.Say($"Not at hand, and where the files come from (to be named so below {dataDir}):");
        }
        foreach (var (task, found) in absent)
        {
            context.Say($"  {task.Group ?? task.Name}: {found.Origin}");
        }
        return ExitCode.Done;
    }

    private static bool IsWhole(TaskInventory found) => found.MembersAtHand == found.Members && !found.StandIn;

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
            return "none";
        }
        if (task.Variants.Count > 0)
        {
            return $"{found.MembersAtHand} of {found.Members} members, {Number(found.Rows)} rows";
        }
        var shots = task.FewShot is { Count: > 0, Data.Count: > 0 } && found.ShotsFile is null ? ", no examples" : "";
        var kind = found.StandIn ? "stand-in " : "";
        return $"{kind}{Path.GetRelativePath(dataDir, found.File!)}, {Number(found.Rows)} rows{shots}";
    }

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
