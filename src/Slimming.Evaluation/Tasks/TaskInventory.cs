using Slimming.Evaluation.Items;
using Slimming.Gguf;

namespace Slimming.Evaluation.Tasks;

/// <summary>What of a task's data is at hand.</summary>
/// <param name="Members">Tasks that the name stands for: 1, or the number of its variants.</param>
/// <param name="MembersAtHand">Those whose items can be read.</param>
/// <param name="File">The items' file; null for a task with variants, or where none is at hand.</param>
/// <param name="Rows">Rows at hand, of all members together.</param>
/// <param name="StandIn">The file is another text of the same kind.</param>
/// <param name="ShotsFile">The worked examples' file; null where they need none, or it is not at hand.</param>
/// <param name="Problem">Why a file that is there cannot be read; null otherwise.</param>
/// <param name="Origin">Where the files come from and what to call them below the data folder; of a task with variants those of one not at hand.</param>
public sealed record TaskInventory(
    int Members,
    int MembersAtHand,
    string? File,
    long Rows,
    bool StandIn,
    string? ShotsFile,
    string? Problem,
    string Origin
)
{
    /// <summary>Looks at the files of a task below a folder.</summary>
    public static TaskInventory Of(TaskDefinition task, string dataDir)
    {
        ArgumentNullException.ThrowIfNull(task);
        var members = task.Variants.Count == 0 ? [task] : task.Variants.ConvertAll(task.Member);
        var files = members.Select(member => (Member: member, Path: TaskFiles.Data(member, dataDir))).ToList();
        var origin = TaskFiles.Origin(files.Find(file => file.Path is null).Member ?? members[0]);
        var present = files.Where(file => file.Path is not null).ToList();
        var single = task.Variants.Count == 0;
        try
        {
            var rows = present.Sum(file => DataRows.Count(file.Path!, file.Member));
            return new TaskInventory(
                members.Count,
                present.Count,
                single ? files[0].Path : null,
                rows,
                single && TaskFiles.IsStandIn(task, dataDir),
                single ? TaskFiles.Shots(task, dataDir) : null,
                null,
                origin
            );
        }
        catch (SlimmingException error)
        {
            return new TaskInventory(members.Count, 0, null, 0, false, null, error.Message, origin);
        }
    }

    /// <summary>Whether a run of the task finds all its files.</summary>
    /// <param name="task">Without variants.</param>
    /// <param name="dataDir">Folder below which they are looked for.</param>
    /// <param name="shots">Worked examples; null for the task's own number.</param>
    public static bool IsComplete(TaskDefinition task, string dataDir, int? shots)
    {
        ArgumentNullException.ThrowIfNull(task);
        var needsShots = (shots ?? task.FewShot.Count) > 0 && task.FewShot.Data.Count > 0;
        return TaskFiles.Data(task, dataDir) is not null && (!needsShots || TaskFiles.Shots(task, dataDir) is not null);
    }
}
