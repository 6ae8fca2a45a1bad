using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation;

/// <summary>How many items of a task came out otherwise than before.</summary>
public sealed record RescoredTask(string Task, long Items);

/// <summary>
/// Applies answer rules and metrics of task definitions to answers that are already stored. Prompts, choices and stops
/// of the definitions are not used: what the model was asked and wrote stays as it is.
/// </summary>
public sealed class Rescorer
{
    private readonly ResultsStore _from;
    private readonly IReadOnlyList<TaskDefinition> _tasks;
    private readonly List<TaskGroup> _groups;

    /// <param name="from">A finished run.</param>
    /// <param name="definitions">Definitions by which tasks of the run are scored; the built-in ones for the rest.</param>
    /// <exception cref="SlimmingException">A definition is of no task of the run, or a task has none.</exception>
    public Rescorer(ResultsStore from, IReadOnlyList<TaskDefinition> definitions)
    {
        ArgumentNullException.ThrowIfNull(from);
        ArgumentNullException.ThrowIfNull(definitions);
        _from = from;
        var names = Tasks(from);
        if (names.Count == 0)
        {
            throw new SlimmingException(ExitCode.Usage, $"{from.Folder}: its summary lists no task");
        }
        var stranger = definitions.FirstOrDefault(task => !names.Contains(task.Name, StringComparer.Ordinal));
        if (stranger is not null)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"task {stranger.Name} is not in {from.Folder}; it has {string.Join(", ", names)}"
            );
        }
        _tasks = [.. names.Select(name => definitions.FirstOrDefault(task => task.Name == name) ?? BuiltIn(name))];
        _groups =
        [
            .. from.ReadItems()
                .SelectMany(row => (row.Groups ?? []).Select(group => (Group: group, row.Task)))
                .Distinct()
                .GroupBy(pair => pair.Group, pair => pair.Task, StringComparer.Ordinal)
                .Select(group => new TaskGroup(group.Key, [.. group], group.Count())),
        ];
    }

    /// <summary>Tasks of a finished run, groups of them aside.</summary>
    public static IReadOnlyList<string> Tasks(ResultsStore run)
    {
        ArgumentNullException.ThrowIfNull(run);
        return
        [
            .. run.ReadSummary()
                .Where(row => row.Members == 0)
                .Select(row => row.Task)
                .Distinct(StringComparer.Ordinal),
        ];
    }

    /// <summary>Settings of the new run: the old ones with the definitions in place of those it was scored by.</summary>
    public RunInfo Info =>
        _from.Info with
        {
            Settings = _tasks.Aggregate(_from.Info.Settings, BenchSettings.WithDefinition),
            Environment = new SortedDictionary<string, string>(_from.Info.Environment, StringComparer.Ordinal)
            {
                ["rescored_from"] = _from.Info.Id,
            },
        };

    /// <summary>Scores every item anew into <paramref name="to"/> and completes it.</summary>
    /// <param name="to">A run opened for writing with <see cref="Info"/>.</param>
    /// <param name="commit">Of the program that scores now.</param>
    /// <param name="cancellation">Looked at before each item.</param>
    /// <returns>The new metrics, and how many items changed.</returns>
    public (IReadOnlyList<MetricRow> Metrics, IReadOnlyList<RescoredTask> Changed) Run(
        ResultsStore to,
        string commit,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(to);
        var changed = new List<RescoredTask>();
        foreach (var task in _tasks)
        {
            long count = 0;
            long items = 0;
            foreach (var old in _from.ReadItems(texts: true, tokens: true, task.Name))
            {
                cancellation.ThrowIfCancellationRequested();
                var row = Score(task, old) with { TaskVersion = task.Version };
                count += Differs(old, row) ? 1 : 0;
                items++;
                if (!to.Finished.Contains(row.Key))
                {
                    to.Append(row);
                }
            }
            if (items == 0)
            {
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"{_from.Folder}: task {task.Name} is in the summary but has no items"
                );
            }
            changed.Add(new RescoredTask(task.Name, count));
        }
        to.Flush();
        var first = _from.ReadSummary()[0];
        var origin = new ResultOrigin(first.Engine, first.Machine, commit);
        var metrics = Summary.Of(_tasks, _groups, to.ReadItems(), origin);
        to.Complete(metrics);
        return (metrics, changed);
    }

    private static TaskDefinition BuiltIn(string name)
    {
        try
        {
            return TaskCatalog.Find(name);
        }
        catch (SlimmingException)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"task {name} is not built in; name its definition with --tasks file.yaml"
            );
        }
    }

    private ItemRow Score(TaskDefinition task, ItemRow row)
    {
        var kind =
            row.ChoiceLogprobs is not null ? TaskKind.MultipleChoice
            : row.Generated is not null ? TaskKind.GenerateUntil
            : row.Kl is not null ? TaskKind.Divergence
            : TaskKind.Perplexity;
        if (kind != task.Kind)
        {
            throw Wrong(row, $"was scored as {kind}, and {task.Origin} is of kind {task.Kind}");
        }
        if (task.IsRunningText)
        {
            return row;
        }
        var continuations =
            row.Continuations
            ?? throw Wrong(row, "has no stored continuations; the texts of the run are needed to score it again");
        return kind == TaskKind.GenerateUntil
            ? RowScoring.WithAnswer(row, task, row.Generated!, continuations)
            : RowScoring.WithChoices(
                row,
                task,
                row.ChoiceLogprobs!,
                [.. continuations.Select(text => Length(task, row, text))],
                row.Gold ?? throw Wrong(row, "has no gold")
            );
    }

    /// <summary>Code points without the delimiter, which a chat template leaves out.</summary>
    private int Length(TaskDefinition task, ItemRow row, string continuation)
    {
        var chat = _from.Info.Settings.GetValueOrDefault("chat_template", "none") != "none";
        var delimiter = task.DelimiterOf(chat);
        return continuation.StartsWith(delimiter, StringComparison.Ordinal)
            ? PythonText.CodePoints(continuation[delimiter.Length..])
            : throw Wrong(row, $"has the choice \"{continuation}\", which does not begin with \"{delimiter}\"");
    }

    private static bool Differs(ItemRow old, ItemRow row) =>
        (old.Acc, old.AccNorm, old.Strict, old.Flexible) != (row.Acc, row.AccNorm, row.Strict, row.Flexible)
        || (old.ExactMatchStrict, old.ExactMatchFlexible, old.TolFlex)
            != (row.ExactMatchStrict, row.ExactMatchFlexible, row.TolFlex)
        || (old.F1, old.Jaccard, old.JaccardSet) != (row.F1, row.Jaccard, row.JaccardSet);

    private static SlimmingException Wrong(ItemRow row, string problem) =>
        new(ExitCode.Usage, $"task {row.Task}, doc {row.Doc}: {problem}");
}
