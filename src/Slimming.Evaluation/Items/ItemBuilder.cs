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
    private readonly ChatFormatter? _chat;
    private readonly string _path;
    private readonly List<JsonElement> _rows;
    private readonly List<JsonElement> _pool;
    private readonly string _poolPath;
    private readonly int _shots;

    /// <param name="task">What to build.</param>
    /// <param name="dataDir">Folder below which the task's files lie.</param>
    /// <param name="shots">Worked examples; null for the task's own number.</param>
    /// <param name="chat">Puts a prompt into the model's chat template; null for the raw prompt.</param>
    public ItemBuilder(TaskDefinition task, string dataDir, int? shots = null, ChatFormatter? chat = null)
    {
        _task = task;
        _chat = chat;
        _path = DataRows.Locate(dataDir, task.Data, task, "data");
        _rows = DataRows.Load(_path, task.Columns, task.Rows);
        _shots = shots ?? task.FewShot.Count;
        _poolPath = _path;
        _pool = _rows;
        if (_shots > 0 && task.Kind == TaskKind.Perplexity)
        {
            throw new SlimmingException(ExitCode.Usage, $"task {task.Name}: --shots has no place in a perplexity task");
        }
        if (_shots > 0 && task.FewShot.Data.Count > 0)
        {
            _poolPath = DataRows.Locate(dataDir, task.FewShot.Data, task, "few_shot data");
            _pool = DataRows.Load(_poolPath, task.Columns, task.Rows);
        }
        var needed = _shots + (task.FewShot.Rule == FewShotRule.FirstN || _shots == 0 ? 0 : 1);
        if (_pool.Count < needed)
        {
            throw new SlimmingException(ExitCode.Usage, $"{_poolPath}: {_pool.Count} rows, too few for {_shots} shots");
        }
    }

    public string DataPath => _path;

    /// <summary>Rows of the data file.</summary>
    public int Count => _rows.Count;

    /// <summary>The files that a task's items come from: its data, and the worked examples where there are any.</summary>
    public static IEnumerable<string> Files(TaskDefinition task, string dataDir, int? shots)
    {
        yield return DataRows.Locate(dataDir, task.Data, task, "data");
        if ((shots ?? task.FewShot.Count) > 0 && task.FewShot.Data.Count > 0)
        {
            yield return DataRows.Locate(dataDir, task.FewShot.Data, task, "few_shot data");
        }
    }

    /// <summary>Items <paramref name="offset"/> to <paramref name="offset"/> + <paramref name="limit"/>, fewer where the file ends.</summary>
    public IEnumerable<TaskItem> Build(int offset, int? limit)
    {
        var random = new PythonRandom(FewShotSeed);
        var end = limit is { } most ? (int)Math.Min(_rows.Count, (long)offset + most) : _rows.Count;
        for (var doc = 0; doc < end; doc++)
        {
            // Skipped items draw too: an item's prompt does not depend on where a run starts.
            var shots = DrawShots(random, doc);
            if (doc >= offset)
            {
                yield return Guard(_path, doc, () => Build(doc, shots));
            }
        }
    }

    internal int[] DrawShots(PythonRandom random, int doc)
    {
        switch (_shots == 0 ? FewShotRule.FirstN : _task.FewShot.Rule)
        {
            case FewShotRule.Sample when !ReferenceEquals(_pool, _rows):
                return random.Sample(_pool.Count, _shots);
            case FewShotRule.FirstN:
                return [.. Enumerable.Range(0, _shots)];
            default:
                var self = _rows[doc].GetRawText();
                return
                [
                    .. random
                        .Sample(_pool.Count, _shots + 1)
                        .Where(shot => !string.Equals(_pool[shot].GetRawText(), self, StringComparison.Ordinal))
                        .Take(_shots),
                ];
        }
    }

    private TaskItem Build(int doc, int[] shots)
    {
        var row = _rows[doc];
        var template = new RowTemplate(_task, row);
        var prefix = new StringBuilder();
        foreach (var shot in shots)
        {
            prefix.Append(Guard(_poolPath, shot, () => RenderShot(_pool[shot])));
        }
        var item = _task.Kind switch
        {
            TaskKind.MultipleChoice => BuildChoices(template, prefix.ToString()),
            TaskKind.GenerateUntil => new Draft(
                [Wrap(template, prefix.ToString(), Filter(template.Render(_task.Prompt!)))],
                [],
                [],
                0,
                template.Render(_task.Target!),
                ""
            ),
            _ => new Draft([Filter(template.Render(_task.Prompt!))], [], [], 0, "", template.Render(_task.Prompt!)),
        };
        return new TaskItem
        {
            Doc = doc,
            Hash = HashOf([row.GetRawText()]),
            PromptHash = HashOf([.. item.Contexts, "\0", .. item.Continuations]),
            Cluster = _task.Cluster is { } shared ? HashOf([template.Render(shared)]) : null,
            Contexts = item.Contexts,
            Continuations = item.Continuations,
            Lengths = item.Lengths,
            Gold = item.Gold,
            Target = item.Target,
            Raw = item.Raw,
            Shots = shots,
        };
    }

    private Draft BuildChoices(RowTemplate template, string prefix)
    {
        // Under a chat template the answer starts a turn of its own: nothing stands between.
        var delimiter = _chat is null ? _task.Delimiter : "";
        if (_task.Contexts.Count > 0)
        {
            var contexts = _task.Contexts.ConvertAll(context =>
                Wrap(template, prefix, Filter(template.Render(context)))
            );
            var ending = template.Render(_task.Continuation!);
            var same = Enumerable.Repeat(delimiter + ending, contexts.Count).ToList();
            return new Draft(
                contexts,
                same,
                [.. contexts.Select(_ => PythonText.CodePoints(ending))],
                Gold(template, contexts.Count),
                "",
                ""
            );
        }
        var choices = Choices(template);
        return new Draft(
            [Wrap(template, prefix, Filter(template.Render(_task.Prompt!)))],
            choices.ConvertAll(choice => delimiter + choice),
            choices.ConvertAll(PythonText.CodePoints),
            Gold(template, choices.Count),
            "",
            ""
        );
    }

    private string RenderShot(JsonElement row)
    {
        var template = new RowTemplate(_task, row);
        string question;
        string answer;
        if (_task.Kind == TaskKind.GenerateUntil)
        {
            (question, answer) = (Filter(template.Render(_task.Prompt!)), template.Render(_task.Target!));
        }
        else if (_task.Contexts.Count > 0)
        {
            var gold = Gold(template, _task.Contexts.Count);
            (question, answer) = (Filter(template.Render(_task.Contexts[gold])), template.Render(_task.Continuation!));
        }
        else
        {
            var choices = Choices(template);
            (question, answer) = (Filter(template.Render(_task.Prompt!)), choices[Gold(template, choices.Count)]);
        }
        return question + _task.Delimiter + answer + _task.FewShot.Separator;
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
            );
    }

    private string Filter(string prompt) =>
        _task.PromptFilters.Aggregate(prompt, (text, filter) => TextFilters.Apply(filter, text));

    private string Wrap(RowTemplate template, string shots, string question)
    {
        var description = template.Render(_task.Description);
        return _chat is null ? description + shots + question : _chat(description, shots + question);
    }

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
        List<string> Contexts,
        List<string> Continuations,
        List<int> Lengths,
        int Gold,
        string Target,
        string Raw
    );
}

/// <summary>Puts a description (system text, may be empty) and a prompt (user turn) into a model's chat template, up to where the answer starts.</summary>
public delegate string ChatFormatter(string description, string prompt);
