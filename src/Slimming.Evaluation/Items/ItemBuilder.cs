using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;
using Slimming.Gguf;

namespace Slimming.Evaluation.Items;

/// <summary>Turns the rows of a task into items: prompts with their worked examples, choices and answers (METHODS.md sections 5 and 6).</summary>
internal sealed class ItemBuilder
{
    /// <summary>Seed of the draw of worked examples in lm-evaluation-harness.</summary>
    private const uint FewShotSeed = 1234;

    private readonly TaskDefinition _task;
    private readonly PromptFormat _format;
    private readonly string _path;
    private readonly List<JsonElement> _rows;

    /// <summary>Rows of the file that are items, in the order in which they are asked.</summary>
    private readonly int[] _docs;
    private readonly List<JsonElement> _pool;
    private readonly string _poolPath;
    private readonly int _shots;

    /// <param name="task">What to build.</param>
    /// <param name="dataDir">Folder below which the task's files lie.</param>
    /// <param name="shots">Worked examples; null for the task's own number.</param>
    /// <param name="format">How prompts are put together; null for raw text.</param>
    /// <exception cref="SlimmingException">Data are absent or wrong, or too few rows for the examples.</exception>
    public ItemBuilder(TaskDefinition task, string dataDir, int? shots = null, PromptFormat? format = null)
    {
        _task = task;
        _format = format ?? new PromptFormat();
        _path = TaskFiles.RequireData(task, dataDir);
        _rows = DataRows.Load(_path, task);
        _shots = shots ?? task.FewShot.Count;
        _docs = Docs(task, _rows.Count);
        (_poolPath, _pool) = (_path, _rows);
        if (_shots == 0)
        {
            return;
        }
        if (task.IsRunningText)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"task {task.Name}: --shots has no place in a task over running text"
            );
        }
        if (task.FewShot.Samples.Count > 0)
        {
            _poolPath = $"{task.Origin}: few_shot.samples";
            _pool = task.FewShot.Samples.ConvertAll(sample => JsonSerializer.SerializeToElement(sample));
        }
        else if (task.FewShot.Data.Count > 0)
        {
            _poolPath = TaskFiles.RequireShots(task, dataDir);
            _pool = Path.GetFullPath(_poolPath) == Path.GetFullPath(_path) ? _rows : DataRows.Load(_poolPath, task);
        }
        var needed = _shots + (TakesItselfOut ? 1L : 0);
        if (_pool.Count < needed)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"task {task.Name}: {_poolPath}: {_pool.Count} rows, too few for {_shots} shots by few_shot.rule: "
                    + $"{needed} needed"
            );
        }
    }

    public string DataPath => _path;

    /// <summary>Items that the data file has.</summary>
    public int Count => _docs.Length;

    /// <summary>Whether one example more is drawn, from which the item itself is taken out.</summary>
    private bool TakesItselfOut => _task.FewShot.Rule == FewShotRule.SampleOthers || ReferenceEquals(_pool, _rows);

    /// <summary>The files that a task's items come from: its data, and the worked examples where there are any.</summary>
    public static IEnumerable<string> Files(TaskDefinition task, string dataDir, int? shots)
    {
        yield return TaskFiles.RequireData(task, dataDir);
        if ((shots ?? task.FewShot.Count) > 0 && task.FewShot.Data.Count > 0)
        {
            yield return TaskFiles.RequireShots(task, dataDir);
        }
    }

    private static int[] Docs(TaskDefinition task, int rows)
    {
        if (task.FirstRows > 0)
        {
            rows = Math.Min(rows, task.FirstRows);
        }
        if (task.Split is not { } split)
        {
            return [.. Enumerable.Range(0, rows)];
        }
        var order = TorchRandom.Permutation(rows, split.Seed);
        return split.Half == SplitHalf.First ? order[..(rows / 2)] : order[(rows / 2)..];
    }

    /// <summary>Items <paramref name="offset"/> to <paramref name="offset"/> + <paramref name="limit"/>, fewer where the file ends.</summary>
    public IEnumerable<TaskItem> Build(int offset, int? limit)
    {
        var random = new PythonRandom(FewShotSeed);
        var end = limit is { } most ? (int)Math.Min(_docs.Length, (long)offset + most) : _docs.Length;
        for (var place = 0; place < end; place++)
        {
            var doc = _docs[place];
            // Skipped items draw too: an item's prompt does not depend on where a run starts.
            var shots = DrawShots(random, doc);
            if (place >= offset)
            {
                yield return Guard(_path, doc, () => BuildFitting(doc, shots));
            }
        }
    }

    internal int[] DrawShots(PythonRandom random, int doc)
    {
        var most = _shots + (TakesItselfOut ? 1 : 0);
        if (_shots == 0)
        {
            return [];
        }
        IEnumerable<int> drawn =
            _task.FewShot.Rule == FewShotRule.FirstN ? Enumerable.Range(0, most) : random.Sample(_pool.Count, most);
        if (TakesItselfOut)
        {
            var self = _rows[doc].GetRawText();
            drawn = drawn.Where(shot => !string.Equals(_pool[shot].GetRawText(), self, StringComparison.Ordinal));
        }
        return [.. drawn.Take(_shots)];
    }

    /// <summary>With as many of the drawn examples as the task's limit of tokens allows.</summary>
    private TaskItem BuildFitting(int doc, int[] shots)
    {
        var item = Build(doc, shots);
        var most = _task.FewShot.MaxTokens;
        while (most > 0 && shots.Length > 0 && item.Contexts.Max(_format.CountTokens) > most)
        {
            shots = shots[..^1];
            item = Build(doc, shots);
        }
        return item;
    }

    private TaskItem Build(int doc, int[] shots)
    {
        var row = _rows[doc];
        var template = new RowTemplate(_task, row);
        var examples = Array.ConvertAll(shots, shot => Guard(_poolPath, shot, () => RenderShot(_pool[shot])));
        var item = _task.Kind switch
        {
            TaskKind.MultipleChoice => BuildChoices(template),
            TaskKind.GenerateUntil => new Draft(
                [Filter(template.Render(_task.Prompt!))],
                [],
                [],
                0,
                Targets(template),
                ""
            ),
            _ => new Draft([Filter(template.Render(_task.Prompt!))], [], [], 0, [], template.Render(_task.Prompt!)),
        };
        // Running text is scored as it is.
        var contexts = _task.IsRunningText
            ? item.Questions
            : item.Questions.ConvertAll(question => Wrap(template, examples, question));
        return new TaskItem
        {
            Doc = doc,
            Hash = HashOf([row.GetRawText()]),
            PromptHash = HashOf([.. contexts, "\0", .. item.Continuations]),
            Cluster = _task.Cluster is { } shared ? HashOf([template.Render(shared)]) : null,
            Contexts = contexts,
            Questions = contexts.SequenceEqual(item.Questions, StringComparer.Ordinal) ? null : item.Questions,
            Continuations = item.Continuations,
            Lengths = item.Lengths,
            Gold = item.Gold,
            Targets = item.Targets,
            Raw = item.Raw,
            Shots = shots,
        };
    }

    private List<string> Targets(RowTemplate template)
    {
        if (_task.TargetsField is not { } field)
        {
            return [template.Render(_task.Target!)];
        }
        var targets = template.RenderList(field);
        return targets.Count > 0 ? targets : throw new FormatException($"field {field}: the list is empty");
    }

    private Draft BuildChoices(RowTemplate template)
    {
        var delimiter = _task.DelimiterOf(_format.Chat is not null);
        if (_task.Contexts.Count > 0)
        {
            var contexts = _task.Contexts.ConvertAll(context => Filter(template.Render(context)));
            var ending = template.Render(_task.Continuation!);
            var same = Enumerable.Repeat(delimiter + ending, contexts.Count).ToList();
            return new Draft(
                contexts,
                same,
                [.. contexts.Select(_ => PythonText.CodePoints(ending))],
                Gold(template, contexts.Count),
                [],
                ""
            );
        }
        var choices = Choices(template);
        return new Draft(
            [Filter(template.Render(_task.Prompt!))],
            choices.ConvertAll(choice => delimiter + choice),
            choices.ConvertAll(PythonText.CodePoints),
            Gold(template, choices.Count),
            [],
            ""
        );
    }

    private (string Question, string Answer) RenderShot(JsonElement row)
    {
        var template = new RowTemplate(_task, row);
        if (_task.Kind == TaskKind.GenerateUntil)
        {
            return (Filter(template.Render(_task.Prompt!)), template.Render(_task.Target!));
        }
        if (_task.Contexts.Count > 0)
        {
            var gold = Gold(template, _task.Contexts.Count);
            return (Filter(template.Render(_task.Contexts[gold])), template.Render(_task.Continuation!));
        }
        var choices = Choices(template);
        return (Filter(template.Render(_task.Prompt!)), choices[Gold(template, choices.Count)]);
    }

    private List<string> Choices(RowTemplate template)
    {
        var choices = _task.ChoicesField is { } field
            ? template.RenderList(field)
            : _task.Choices.ConvertAll(template.Render);
        if (choices.Count < 2)
        {
            throw new FormatException($"{choices.Count} choices, expected 2 or more");
        }
        return choices.ConvertAll(choice =>
            _task.ChoiceFilters.Aggregate(choice, (text, filter) => TextFilters.Apply(filter, text))
        );
    }

    /// <summary>A label's place in the list of labels, else a number counted from 0: files differ in which they hold.</summary>
    private int Gold(RowTemplate template, int choices)
    {
        var text = template.Render(_task.Gold!);
        var labels = _task.GoldLabelsField is { } field ? template.RenderList(field) : _task.GoldLabels;
        var index = labels.IndexOf(text);
        if (index < 0 && !int.TryParse(text, CultureInfo.InvariantCulture, out index))
        {
            index = -1;
        }
        return index >= 0 && index < choices
            ? index
            : throw new FormatException(
                $"gold \"{text}\": expected {(labels.Count > 0 ? string.Join(", ", labels) + " or " : "")}0 to {choices - 1}"
                    + (labels.Count > 0 ? "" : "; for letters or texts name them in gold_labels or gold_labels_field")
            );
    }

    private string Filter(string prompt) =>
        _task.PromptFilters.Aggregate(prompt, (text, filter) => TextFilters.Apply(filter, text));

    /// <summary>Description, worked examples and question as the model gets them.</summary>
    private string Wrap(RowTemplate template, (string Question, string Answer)[] shots, string question)
    {
        var description = template.Render(_task.Description);
        if (_format.Chat is not { } chat)
        {
            return description + Join(shots) + question;
        }
        var turns = new List<ChatTurn>();
        if (!string.IsNullOrWhiteSpace(description))
        {
            turns.Add(new ChatTurn("system", description));
        }
        if (_format.ShotsAsTurns)
        {
            foreach (var shot in shots)
            {
                turns.Add(new ChatTurn("user", shot.Question));
                turns.Add(new ChatTurn("assistant", shot.Answer));
            }
            shots = [];
        }
        turns.Add(new ChatTurn("user", Join(shots) + question));
        return chat(turns);
    }

    private string Join((string Question, string Answer)[] shots) =>
        string.Concat(shots.Select(shot => shot.Question + _task.Delimiter + shot.Answer + _task.FewShot.Separator));

    private T Guard<T>(string path, int row, Func<T> build)
    {
        try
        {
            return build();
        }
        catch (FormatException error)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"task {_task.Name}: {path}: row {row}: {error.Message}",
                error
            );
        }
    }

    private static string HashOf(IEnumerable<string> texts) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', texts))))[..32];

    private sealed record Draft(
        List<string> Questions,
        List<string> Continuations,
        List<int> Lengths,
        int Gold,
        List<string> Targets,
        string Raw
    );
}
