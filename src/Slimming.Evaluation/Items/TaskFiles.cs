using Slimming.Evaluation.Tasks;
using Slimming.Gguf;

namespace Slimming.Evaluation.Items;

/// <summary>The data files of a task below a data folder, or beside a user's own task file.</summary>
public static class TaskFiles
{
    /// <summary>The file that items are read from; null where none is at hand.</summary>
    public static string? Data(TaskDefinition task, string dataDir)
    {
        ArgumentNullException.ThrowIfNull(task);
        return First(task, dataDir, task.Data.Concat(task.StandIns));
    }

    /// <summary>Whether <see cref="Data"/> is another text of the same kind, not the task's own.</summary>
    public static bool IsStandIn(TaskDefinition task, string dataDir)
    {
        ArgumentNullException.ThrowIfNull(task);
        return First(task, dataDir, task.Data) is null && First(task, dataDir, task.StandIns) is not null;
    }

    /// <summary>The file that worked examples are read from; null where they have none of their own, or it is not at hand.</summary>
    public static string? Shots(TaskDefinition task, string dataDir)
    {
        ArgumentNullException.ThrowIfNull(task);
        return First(task, dataDir, task.FewShot.Data);
    }

    /// <summary>The same, or an error that says which files are expected and where they come from.</summary>
    /// <exception cref="SlimmingException">The file is not at hand.</exception>
    internal static string RequireData(TaskDefinition task, string dataDir) =>
        Data(task, dataDir) ?? throw Missing(task, dataDir, "data", task.Data);

    /// <inheritdoc cref="RequireData"/>
    internal static string RequireShots(TaskDefinition task, string dataDir) =>
        Shots(task, dataDir) ?? throw Missing(task, dataDir, "few_shot data", task.FewShot.Data);

    /// <summary>Where the files of a task come from and what they are called here.</summary>
    public static string Origin(TaskDefinition task)
    {
        ArgumentNullException.ThrowIfNull(task);
        return task.Source.Hub.Length == 0 ? "" : Origin(task, task.Data.Concat(task.FewShot.Data));
    }

    private static string Origin(TaskDefinition task, IEnumerable<string> wanted)
    {
        var files = task
            .Source.Files.Where(file => wanted.Contains(file.Key, StringComparer.Ordinal))
            .Select(file => $"{Name(task, file.Value)} as {Name(task, file.Key)}");
        return $"from {task.Source.Hub} take {string.Join(", ", files)}";
    }

    private static string? First(TaskDefinition task, string dataDir, IEnumerable<string> candidates)
    {
        // A user's own task file may name its data beside itself.
        string[] folders = File.Exists(task.Origin)
            ? [dataDir, Path.GetDirectoryName(Path.GetFullPath(task.Origin))!]
            : [dataDir];
        return candidates
            .SelectMany(candidate => folders.Select(folder => Path.Combine(folder, Name(task, candidate))))
            .FirstOrDefault(File.Exists);
    }

    private static SlimmingException Missing(TaskDefinition task, string dataDir, string key, List<string> candidates)
    {
        var names = string.Join(" or ", candidates.Select(candidate => Name(task, candidate)));
        var origin = task.Source.Hub.Length == 0 ? "" : $"; {Origin(task, candidates)}";
        return new SlimmingException(
            ExitCode.Usage,
            $"task {task.Name}: {key} not found: expected {names} below {Path.GetFullPath(dataDir)} (--data-dir){origin}"
        );
    }

    private static string Name(TaskDefinition task, string file) =>
        file.Replace("{variant}", task.Variant, StringComparison.Ordinal);
}
