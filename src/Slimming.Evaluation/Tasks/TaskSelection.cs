using Slimming.Gguf;

namespace Slimming.Evaluation.Tasks;

/// <summary>Several tasks whose items are also reported together, each item with equal weight.</summary>
/// <param name="Name">As the summary carries it.</param>
/// <param name="Tasks">Names of the members that are run.</param>
/// <param name="Whole">Members of the whole group: more than <paramref name="Tasks"/> where data are absent.</param>
public sealed record TaskGroup(string Name, IReadOnlyList<string> Tasks, int Whole)
{
    /// <summary>The name, with the count of members where some are missing: part of a group is not the group.</summary>
    public string Label => Tasks.Count == Whole ? Name : $"{Name} ({Tasks.Count} of {Whole})";
}

/// <summary>What names on a command line stand for: tasks one by one, and the groups they were named by.</summary>
/// <param name="Tasks">Without variants, in order.</param>
/// <param name="Groups">Groups asked for and their parts.</param>
/// <param name="Missing">Members left out because their data are absent.</param>
public sealed record TaskSelection(
    IReadOnlyList<TaskDefinition> Tasks,
    IReadOnlyList<TaskGroup> Groups,
    IReadOnlyList<TaskDefinition> Missing
)
{
    /// <param name="names">Tasks, groups, parts of groups, or paths of task files.</param>
    /// <param name="hasData">Whether a member's data are at hand; null to take all members.</param>
    /// <exception cref="SlimmingException">An unknown name, or a task named twice.</exception>
    public static TaskSelection Of(IEnumerable<string> names, Func<TaskDefinition, bool>? hasData = null)
    {
        ArgumentNullException.ThrowIfNull(names);
        var tasks = new List<TaskDefinition>();
        var groups = new List<TaskGroup>();
        var missing = new List<TaskDefinition>();
        foreach (var name in names)
        {
            var (found, part) = TaskCatalog.Resolve(name);
            if (found.Variants.Count == 0)
            {
                tasks.Add(found);
                continue;
            }
            var asked = part is null ? found.Variants : found.Subgroups[part];
            var present = asked.Where(variant => hasData?.Invoke(found.Member(variant)) ?? true).ToList();
            missing.AddRange(asked.Except(present, StringComparer.Ordinal).Select(found.Member));
            tasks.AddRange(present.Select(found.Member));
            groups.AddRange(GroupsOf(found, part, present));
        }
        var twice = tasks.GroupBy(task => task.Name, StringComparer.Ordinal).FirstOrDefault(same => same.Count() > 1);
        return twice is null
            ? new TaskSelection(tasks, groups, missing)
            : throw new SlimmingException(ExitCode.Usage, $"--tasks names {twice.Key} twice");
    }

    private static IEnumerable<TaskGroup> GroupsOf(TaskDefinition family, string? part, List<string> present)
    {
        if (part is null)
        {
            yield return Group(family, family.Group ?? family.Name, family.Variants, present);
        }
        foreach (var (name, variants) in family.Subgroups.Where(subgroup => part is null || subgroup.Key == part))
        {
            if (variants.Intersect(present, StringComparer.Ordinal).Any())
            {
                yield return Group(family, name, variants, present);
            }
        }
    }

    private static TaskGroup Group(TaskDefinition family, string name, List<string> variants, List<string> present) =>
        new(name, [.. variants.Where(present.Contains).Select(family.MemberName)], variants.Count);
}
