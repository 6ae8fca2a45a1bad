using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation.Comparing;

/// <summary>Lets two runs be compared only where the model is all that differs; names the first field that does not fit.</summary>
internal static class RunPairing
{
    private const string TaskPrefix = "task ";

    /// <summary>Parts of the environment that change no meaning, but may change a last digit.</summary>
    private static readonly string[] MachineFields = ["machine", "cpu_features", "threads"];

    /// <summary>Tasks of both runs, in the base's order; distances from different references have nothing in common.</summary>
    /// <exception cref="SlimmingException">Settings differ, or there is no common task, nor a distance between the two.</exception>
    public static IReadOnlyList<string> CommonTasks(ScoredItems start, ScoredItems tuned)
    {
        var common = start
            .Tasks.Intersect(tuned.Tasks, StringComparer.Ordinal)
            .Where(task => !start.IsDivergence(task) || start.HasReferenceOf(tuned))
            .ToList();
        if (common.Count == 0 && !start.Tasks.Any(start.IsDivergence) && !tuned.Tasks.Any(tuned.IsDivergence))
        {
            throw Refuse(start, tuned, "tasks", string.Join(",", start.Tasks), string.Join(",", tuned.Tasks));
        }
        var (here, there) = (start.Info.Settings, tuned.Info.Settings);
        var keys = here.Keys.Union(there.Keys, StringComparer.Ordinal);
        // Another engine has other settings of its own: it is named before them.
        foreach (var key in keys.OrderBy(key => key != "engine").ThenBy(key => key, StringComparer.Ordinal))
        {
            var compared =
                !ScoredItems.ModelKeys.Contains(key, StringComparer.Ordinal)
                && !key.StartsWith(ScoredItems.ReferencePrefix, StringComparison.Ordinal)
                && key != "tasks"
                && (
                    !key.StartsWith(TaskPrefix, StringComparison.Ordinal)
                    || common.Contains(key[TaskPrefix.Length..], StringComparer.Ordinal)
                );
            var (old, now) = (here.GetValueOrDefault(key, "(not set)"), there.GetValueOrDefault(key, "(not set)"));
            if (compared && old != now)
            {
                throw key.StartsWith(TaskPrefix, StringComparison.Ordinal)
                    ? RefuseTask(start, tuned, key[TaskPrefix.Length..], old, now)
                    : Refuse(start, tuned, key, old, now);
            }
        }
        return common;
    }

    /// <summary>Both runs' rows of a task side by side, in the order of the data.</summary>
    /// <exception cref="SlimmingException">An item is missing on a side, or was asked differently.</exception>
    public static List<(ItemRow Base, ItemRow Tuned)> Pair(ScoredItems start, ScoredItems tuned, string task)
    {
        var (here, there) = (start.Items(task), tuned.Items(task));
        foreach (var (one, other, has, lacks) in new[] { (here, there, start, tuned), (there, here, tuned, start) })
        {
            var missing = one.Where(item => !other.ContainsKey(item.Key)).Select(item => item.Value).ToList();
            if (missing.Count > 0)
            {
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"{start.Directory} and {tuned.Directory} are no pair: task {task}: {missing.Count} item(s) of "
                        + $"{has.Directory} are not in {lacks.Directory}, first doc {missing[0].Doc} "
                        + $"(item_hash {missing[0].ItemHash}); score both with the same --limit, --offset and data"
                );
            }
        }
        var pairs = here.Select(item => (Base: item.Value, Tuned: there[item.Key]))
            .OrderBy(pair => pair.Base.Task, StringComparer.Ordinal)
            .ThenBy(pair => pair.Base.Doc)
            .ToList();
        foreach (var (left, right) in pairs)
        {
            CheckEqual("task_version", left.TaskVersion, right.TaskVersion, left);
            CheckEqual("prompt_hash", left.PromptHash, right.PromptHash, left);
        }
        return pairs;

        void CheckEqual(string field, string left, string right, ItemRow row)
        {
            if (left != right)
            {
                throw Refuse(start, tuned, $"{field} of task {task}, doc {row.Doc}", left, right);
            }
        }
    }

    public static IReadOnlyList<string> Warnings(ScoredItems start, ScoredItems tuned)
    {
        var warnings = new List<string>();
        foreach (var field in MachineFields)
        {
            var old = start.Info.Environment.GetValueOrDefault(field, "");
            var now = tuned.Info.Environment.GetValueOrDefault(field, "");
            if (old != now)
            {
                warnings.Add(
                    $"{start.Directory} and {tuned.Directory} ran with another {field} ({old}; {now}): "
                        + "scores may differ in their last digits for that alone"
                );
            }
        }
        if (start.Info.Id == tuned.Info.Id)
        {
            warnings.Add($"{start.Directory} and {tuned.Directory} are runs of the very same model");
        }
        return warnings;
    }

    /// <summary>
    /// A task's setting is "version ..., definition ..., data ...": names the parts that differ. Of a definition that is
    /// no more than a hash, so the first item that was asked differently is named too.
    /// </summary>
    private static SlimmingException RefuseTask(
        ScoredItems start,
        ScoredItems tuned,
        string task,
        string old,
        string now
    )
    {
        var parts = old.Split(", ").Zip(now.Split(", ")).Where(part => part.First != part.Second).ToList();
        var names = parts.ConvertAll(part => part.First.Split(' ')[0]);
        var there = tuned.Items(task);
        var asked = start
            .Items(task)
            .Where(item => there.TryGetValue(item.Key, out var other) && other.PromptHash != item.Value.PromptHash)
            .Select(item => item.Value)
            .MinBy(item => item.Doc);
        return Refuse(
            start,
            tuned,
            string.Join(" and ", asked is null ? names : [.. names, $"prompt (doc {asked.Doc} first)"])
                + $" of task {task}",
            string.Join(", ", parts.Select(part => part.First)),
            string.Join(", ", parts.Select(part => part.Second))
        );
    }

    private static SlimmingException Refuse(
        ScoredItems start,
        ScoredItems tuned,
        string field,
        string old,
        string now
    ) =>
        new(
            ExitCode.Usage,
            $"{start.Directory} and {tuned.Directory} are no pair: {field} differs: {old} in {start.Directory}, "
                + $"{now} in {tuned.Directory}; score both models with the same bench command"
        );
}
