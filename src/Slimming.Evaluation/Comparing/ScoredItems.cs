using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation.Comparing;

/// <summary>A finished run to compare: its settings, metrics, and items by task.</summary>
public sealed class ScoredItems : IDisposable
{
    /// <summary>Settings that say which model was run.</summary>
    internal static readonly string[] ModelKeys = ["model_sha256", "adapter_sha256", "adapter_scale"];

    private readonly ResultsStore _store;

    /// <summary>All items without texts: read once, however many tasks and groups they belong to.</summary>
    private List<ItemRow>? _rows;

    private ScoredItems(string directory, ResultsStore store)
    {
        (Directory, _store) = (directory, store);
        Summary = store.ReadSummary();
        Tasks = Names(group: false);
        Groups = Names(group: true);
    }

    /// <summary>As it was given.</summary>
    public string Directory { get; }

    public RunInfo Info => _store.Info;

    public IReadOnlyList<MetricRow> Summary { get; }

    /// <summary>In the order of the run, groups of them aside.</summary>
    public IReadOnlyList<string> Tasks { get; }

    /// <summary>Groups whose common value the run reports.</summary>
    public IReadOnlyList<string> Groups { get; }

    /// <summary>What stands before a model's settings where it was the reference of a distance.</summary>
    internal const string ReferencePrefix = "reference_";

    internal bool IsDivergence(string task) =>
        Summary.Any(row => row.Task == task && row.Metric is "mean_kl" or "kl_p99" or "same_top_1");

    /// <summary>This run's model is what <paramref name="other"/> measured its distance from.</summary>
    internal bool IsReferenceOf(ScoredItems other) =>
        ModelKeys.All(key => Setting(key) == other.Setting(ReferencePrefix + key));

    internal bool HasReferenceOf(ScoredItems other) =>
        ModelKeys.All(key => Setting(ReferencePrefix + key) == other.Setting(ReferencePrefix + key));

    public static ScoredItems Open(string directory) => new(directory, ResultsStore.OpenFinished(directory));

    public IReadOnlyList<string> Metrics(string task) =>
        [.. Summary.Where(row => row.Task == task).Select(row => row.Metric)];

    /// <summary>
    /// Items of a task or group by item_hash; items of equal raw data are told apart by their order, which is that of the data.
    /// </summary>
    internal Dictionary<(string Hash, int Copy), ItemRow> Items(string task)
    {
        _rows ??= [.. _store.ReadItems()];
        var rows = Groups.Contains(task, StringComparer.Ordinal)
            ? _rows.Where(row => row.Groups?.Contains(task, StringComparer.Ordinal) == true)
            : _rows.Where(row => row.Task == task);
        var copies = new Dictionary<string, int>(StringComparer.Ordinal);
        var items = new Dictionary<(string, int), ItemRow>();
        foreach (var row in rows.OrderBy(row => row.Task, StringComparer.Ordinal).ThenBy(row => row.Doc))
        {
            var copy = copies.GetValueOrDefault(row.ItemHash);
            copies[row.ItemHash] = copy + 1;
            items.Add((row.ItemHash, copy), row);
        }
        return items.Count > 0
            ? items
            : throw new SlimmingException(
                ExitCode.Usage,
                $"{Directory}: task {task} is in the summary but has no items"
            );
    }

    /// <summary>The same rows with their texts, of the asked items only.</summary>
    internal Dictionary<ItemKey, ItemRow> Texts(string task, IReadOnlySet<ItemKey> wanted) =>
        wanted.Count == 0
            ? []
            : _store
                .ReadItems(texts: true, task: task)
                .Where(row => wanted.Contains(row.Key))
                .ToDictionary(row => row.Key);

    private List<string> Names(bool group) =>
        [.. Summary.Where(row => row.Members > 0 == group).Select(row => row.Task).Distinct(StringComparer.Ordinal)];

    private string Setting(string key) => Info.Settings.GetValueOrDefault(key, "");

    public void Dispose() => _store.Dispose();
}
