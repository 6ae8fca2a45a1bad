using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation;

/// <summary>What to score, apart from the model.</summary>
public sealed record BenchOptions
{
    public required IReadOnlyList<TaskDefinition> Tasks { get; init; }

    /// <summary>Groups of them that are also reported as one (<see cref="TaskSelection"/>).</summary>
    public IReadOnlyList<TaskGroup> Groups { get; init; } = [];
    public required string DataDir { get; init; }

    /// <summary>First item, by row of the data file.</summary>
    public int Offset { get; init; }

    /// <summary>Most items of a task; null for all.</summary>
    public int? Limit { get; init; }

    /// <summary>Worked examples; null for each task's own number.</summary>
    public int? Shots { get; init; }

    /// <summary>Tokens of an answer; null for each task's own number.</summary>
    public int? MaxGenTokens { get; init; }

    /// <summary>Put a BOS before every context.</summary>
    public bool AddBos { get; init; }

    /// <summary>Chat template of the model; null for raw prompts.</summary>
    public ChatFormatter? Chat { get; init; }

    /// <summary>Under a chat template: each worked example is a user's and an assistant's turn.</summary>
    public bool ShotsAsTurns { get; init; }

    /// <summary>Source of the template behind <see cref="Chat"/>: part of what a score depends on.</summary>
    public string? ChatSource { get; init; }
}

/// <summary>How far a task is.</summary>
public readonly record struct BenchProgress(string Task, long Done, long Total);

/// <summary>Runs tasks and writes every item and metric into a results store.</summary>
/// <param name="engine">The model.</param>
/// <param name="options">What is scored.</param>
/// <param name="origin">As results carry it.</param>
/// <param name="divergence">The model beside its reference; null where no task asks for a distance.</param>
public sealed class BenchRunner(
    IScoringEngine engine,
    BenchOptions options,
    ResultOrigin origin,
    ModelDivergence? divergence = null
)
{
    /// <summary>
    /// Items asked at once and kept at once: the batch plan. Inside a batch the engine fills its passes in the order of
    /// the items, so what is computed together depends on the task, the engine's tokens a pass and nothing else, and a
    /// resumed run computes the same numbers.
    /// </summary>
    internal const int BatchItems = 32;

    private List<(TaskDefinition Task, ItemBuilder Builder, int Items)>? _prepared;

    /// <summary>Reads all data and builds each item once, so that a wrong row is found before a results folder is made.</summary>
    public void Prepare() => _prepared ??= [.. options.Tasks.Select(Prepare)];

    /// <summary>Scores all tasks; items that the store has already are not asked again.</summary>
    public IReadOnlyList<MetricRow> Run(
        ResultsStore store,
        IProgress<BenchProgress>? progress = null,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(store);
        Prepare();
        foreach (var (task, builder, count) in _prepared!)
        {
            // Built again one by one: the prompts of a large task would take more memory than a small model.
            var items = Build(task, builder);
            if (task.Kind == TaskKind.Perplexity)
            {
                RunPerplexity(task, items, count, store, progress, cancellation);
            }
            else if (task.Kind == TaskKind.Divergence)
            {
                RunDivergence(task, [.. items], store, progress, cancellation);
            }
            else
            {
                RunTask(task, items, count, store, progress, cancellation);
            }
        }
        var summary = Summary.Of(options.Tasks, options.Groups, store.ReadItems(), origin);
        store.Complete(summary);
        return summary;
    }

    private (TaskDefinition Task, ItemBuilder Builder, int Items) Prepare(TaskDefinition task)
    {
        var encoder = PairEncoder.For(task, engine.Codec, options.AddBos);
        PromptFormat format = new()
        {
            Chat = options.Chat,
            ShotsAsTurns = options.ShotsAsTurns,
            CountTokens = text => encoder.Encode(text).Length,
        };
        var builder = new ItemBuilder(task, options.DataDir, options.Shots, format);
        var count = Build(task, builder).Count();
        return count > 0 ? (task, builder, count) : throw NoItems(task, $"{builder.DataPath} has {builder.Count} rows");
    }

    /// <summary>The items of this run. Where windows are the items, they are counted once all rows are known.</summary>
    private IEnumerable<TaskItem> Build(TaskDefinition task, ItemBuilder builder) =>
        task.HasWindows ? builder.Build(0, null) : builder.Build(options.Offset, options.Limit);

    private SlimmingException NoItems(TaskDefinition task, string found) =>
        new(ExitCode.Usage, $"task {task.Name}: no items from --offset {options.Offset} on; {found}");

    private void RunTask(
        TaskDefinition task,
        IEnumerable<TaskItem> items,
        int count,
        ResultsStore store,
        IProgress<BenchProgress>? progress,
        CancellationToken cancellation
    )
    {
        var scorer = new ItemScorer(task, engine, options.AddBos, options.MaxGenTokens ?? task.MaxGenTokens);
        var done = 0;
        foreach (var batch in items.Chunk(BatchItems))
        {
            if (done == 0)
            {
                engine.ShareHeader(scorer.CommonStart(batch));
            }
            if (!batch.All(item => store.Finished.Contains(new ItemKey(task.Name, item.Doc, item.Hash))))
            {
                foreach (var row in scorer.Score(batch, cancellation).Where(row => !store.Finished.Contains(row.Key)))
                {
                    store.Append(WithGroups(row));
                }
                store.Flush();
            }
            done += batch.Length;
            progress?.Report(new BenchProgress(task.Name, done, count));
        }
    }

    private void RunDivergence(
        TaskDefinition task,
        List<TaskItem> items,
        ResultsStore store,
        IProgress<BenchProgress>? progress,
        CancellationToken cancellation
    )
    {
        var models =
            divergence
            ?? throw new SlimmingException(
                ExitCode.Usage,
                $"task {task.Name} needs --reference-model: a distance from what?"
            );
        var scorer = new DivergenceScorer(task, engine, models, options.AddBos);
        var windows = scorer.CutWindows(items).Skip(options.Offset).Take(options.Limit ?? int.MaxValue).ToList();
        if (windows.Count == 0)
        {
            throw NoItems(task, "the text has fewer windows");
        }
        for (var i = 0; i < windows.Count; i++)
        {
            if (!store.Finished.Contains(windows[i].Key(task.Name)))
            {
                store.Append(WithGroups(scorer.Score(windows[i], cancellation)));
                store.Flush();
            }
            progress?.Report(new BenchProgress(task.Name, i + 1, windows.Count));
        }
    }

    private void RunPerplexity(
        TaskDefinition task,
        IEnumerable<TaskItem> items,
        int count,
        ResultsStore store,
        IProgress<BenchProgress>? progress,
        CancellationToken cancellation
    )
    {
        var scorer = new PerplexityScorer(task, engine, options.AddBos);
        engine.ShareHeader([]);
        if (task.Windows == WindowRule.Rolling)
        {
            var done = 0;
            foreach (var item in items)
            {
                if (!store.Finished.Contains(new ItemKey(task.Name, item.Doc, item.Hash)))
                {
                    store.Append(WithGroups(scorer.ScoreRow(item, cancellation)));
                    store.Flush();
                }
                progress?.Report(new BenchProgress(task.Name, ++done, count));
            }
            return;
        }
        var windows = scorer.CutWindows([.. items]);
        var end = (int)Math.Min(windows.Count, options.Offset + (long)(options.Limit ?? windows.Count));
        if (options.Offset >= windows.Count)
        {
            throw NoItems(task, $"the text has {windows.Count} windows");
        }
        for (var i = options.Offset; i < end; i++)
        {
            var hash = TokenWindow.HashOf(windows[i]);
            if (!store.Finished.Contains(new ItemKey(task.Name, i, hash)))
            {
                store.Append(WithGroups(scorer.ScoreWindow(i, windows[i], hash, cancellation)));
                store.Flush();
            }
            progress?.Report(new BenchProgress(task.Name, i - options.Offset + 1, end - options.Offset));
        }
    }

    /// <summary>The row with the groups of this run that it belongs to.</summary>
    private ItemRow WithGroups(ItemRow row)
    {
        List<string> groups =
        [
            .. options
                .Groups.Where(group => group.Tasks.Contains(row.Task, StringComparer.Ordinal))
                .Select(g => g.Label),
        ];
        return groups.Count > 0 ? row with { Groups = groups } : row;
    }
}
