using System.Runtime.InteropServices;
using Slimming.Results;

namespace Slimming.Evaluation.Comparing;

/// <summary>
/// Looks for benchmark items in training rows. The items' n-grams are held (about 40 bytes each), training rows only pass
/// by: memory does not grow with the training data.
/// </summary>
/// <remarks>An item's text is its question, without worked examples and templates, and its right answer.</remarks>
public sealed class OverlapFinder
{
    private readonly List<Item> _items = [];

    /// <summary>First place in <see cref="_grams"/> of each hash.</summary>
    private readonly Dictionary<ulong, int> _first = [];

    /// <summary>Which item has an n-gram, and the next place with the same hash, -1 at the end.</summary>
    private readonly List<(int Item, int Next)> _grams = [];

    private sealed record Item(string Task, long Doc, string Hash)
    {
        public int Grams { get; set; }
    }

    private sealed record Hit(TrainingText Row, string Words)
    {
        public int Shared { get; set; }
    }

    /// <summary>Reads the items of a finished run.</summary>
    /// <param name="directory">Its results folder.</param>
    public static OverlapFinder Of(string directory)
    {
        using var store = ResultsStore.OpenFinished(directory);
        var finder = new OverlapFinder();
        foreach (var row in store.ReadItems(texts: true))
        {
            if (TextOf(row) is { } text)
            {
                finder.Add(row, text);
            }
        }
        return finder;
    }

    /// <summary>Reads training rows once.</summary>
    public Overlap Find(IEnumerable<TrainingText> rows, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(rows);
        var hits = new Dictionary<int, Hit>();
        var seen = new HashSet<ulong>();
        long count = 0;
        foreach (var row in rows)
        {
            cancellation.ThrowIfCancellationRequested();
            count++;
            var words = WordGrams.Words(row.Text);
            var start = 0;
            foreach (var hash in WordGrams.Hashes(words))
            {
                // A gram counts once, however often it is trained on.
                if (_first.TryGetValue(hash, out var place) && seen.Add(hash))
                {
                    for (; place >= 0; place = _grams[place].Next)
                    {
                        ref var hit = ref CollectionsMarshal.GetValueRefOrAddDefault(hits, _grams[place].Item, out _);
                        hit ??= new Hit(
                            row with
                            {
                                Text = "",
                            },
                            string.Join(' ', words.Skip(start).Take(WordGrams.Length))
                        );
                        hit.Shared++;
                    }
                }
                start++;
            }
        }
        return new Overlap(WordGrams.Length, count, Tasks(hits));
    }

    private void Add(ItemRow row, string text)
    {
        var item = new Item(row.Task, row.Doc, row.ItemHash);
        _items.Add(item);
        foreach (var hash in WordGrams.Hashes(WordGrams.Words(text)).Distinct())
        {
            item.Grams++;
            ref var first = ref CollectionsMarshal.GetValueRefOrAddDefault(_first, hash, out var known);
            _grams.Add((_items.Count - 1, known ? first : -1));
            first = _grams.Count - 1;
        }
    }

    private List<TaskOverlap> Tasks(Dictionary<int, Hit> hits) =>
        [
            .. _items
                .Select((item, index) => (Item: item, Hit: hits.GetValueOrDefault(index)))
                .GroupBy(entry => entry.Item.Task)
                .Select(task => new TaskOverlap(
                    task.Key,
                    task.Count(),
                    task.Count(entry => entry.Item.Grams == 0),
                    [
                        .. task.Where(entry => entry.Hit is not null)
                            .OrderBy(entry => entry.Item.Doc)
                            .Select(entry => new OverlapItem(
                                entry.Item.Doc,
                                entry.Item.Hash,
                                entry.Hit!.Shared,
                                entry.Item.Grams,
                                entry.Hit.Row.Source,
                                entry.Hit.Row.Row,
                                entry.Hit.Words
                            )),
                    ]
                )),
        ];

    /// <summary>Null where the run kept no texts: windows of joined text have tokens only.</summary>
    private static string? TextOf(ItemRow row)
    {
        if ((row.Questions ?? row.Contexts) is not { Count: > 0 } questions)
        {
            return null;
        }
        var gold = (int)(row.Gold ?? 0);
        var question = questions[questions.Count > 1 ? gold : 0];
        return row.Continuations is { Count: > 0 } answers ? $"{question} {answers[gold]}" : question;
    }
}
