using Slimming.Shared;

namespace Slimming.Results;

/// <summary>
/// One bench run on disk: <c>run=&lt;id&gt;/</c> with run.json, parts of items, texts and tokens, summary.parquet, DONE.
/// </summary>
/// <remarks>
/// Parts are written beside and renamed as items finish, texts and tokens before items: a part counts once its items
/// file stands, so a killed run loses at most the items that waited and resumes with the rest.
/// </remarks>
public sealed class ResultsStore : IDisposable
{
    /// <summary>Items a part holds before it is written.</summary>
    public const int PartItems = 256;

    private const string DoneName = "DONE";
    private const string SummaryName = "summary.parquet";
    private readonly DuckDb _db = DuckDb.Open(256);
    private readonly List<ItemRow> _pending = [];
    private readonly HashSet<ItemKey> _finished = [];
    private FolderLock? _lock;
    private readonly ResultParts _parts;
    private int _nextPart;

    private ResultsStore(string folder, RunInfo info)
    {
        (Folder, Info) = (folder, info);
        _parts = new ResultParts(_db, folder);
    }

    /// <summary>The <c>run=&lt;id&gt;</c> folder.</summary>
    public string Folder { get; }

    public RunInfo Info { get; }

    public bool IsDone => File.Exists(Path.Combine(Folder, DoneName));

    /// <summary>Items already on disk or appended; a resumed run skips them.</summary>
    public IReadOnlySet<ItemKey> Finished => _finished;

    /// <summary>Opens <paramref name="outDirectory"/> for one run: new, or an unfinished one of equal settings.</summary>
    /// <exception cref="ResultsException">Refused: a finished run is there, or one of other settings (named).</exception>
    public static ResultsStore OpenForWriting(string outDirectory, RunInfo info, bool force = false)
    {
        ArgumentNullException.ThrowIfNull(info);
        var folder = Path.Combine(outDirectory, "run=" + info.Id);
        try
        {
            Directory.CreateDirectory(outDirectory);
            var held = FolderLock.Take(outDirectory);
            ResultsStore? store = null;
            try
            {
                CheckOthers(outDirectory, folder, info, force);
                Directory.CreateDirectory(folder);
                store = new ResultsStore(folder, info) { _lock = held };
                store.Prepare();
                return store;
            }
            catch
            {
                store?.Dispose();
                held.Dispose();
                throw;
            }
        }
        catch (FolderHeldException e)
        {
            throw new ResultsException(ResultsFault.Refused, e.Message, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ResultsException(ResultsFault.Failed, $"{folder}: cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Opens a finished run to read: the <c>run=&lt;id&gt;</c> folder or the folder that holds it.</summary>
    /// <exception cref="ResultsException">No run there, more than one, or not finished.</exception>
    public static ResultsStore OpenFinished(string directory)
    {
        var folder = FindRun(directory);
        if (!File.Exists(Path.Combine(folder, DoneName)))
        {
            throw new ResultsException(
                ResultsFault.Usage,
                $"{folder}: the run is not finished ({DoneName} is missing); run the same bench command again to go on"
            );
        }
        return new ResultsStore(folder, RunInfo.Read(Path.Combine(folder, "run.json")));
    }

    /// <summary>Takes one finished item; every <see cref="PartItems"/> items become a part on disk.</summary>
    /// <exception cref="ResultsException">A value is NaN or infinite, or the item is there already.</exception>
    public void Append(ItemRow row)
    {
        ArgumentNullException.ThrowIfNull(row);
        if (ResultColumns.NonFinite(ResultColumns.Items, row) is { } column)
        {
            throw new ResultsException(
                ResultsFault.Failed,
                $"task {row.Task}, doc {row.Doc}: {column} is not a finite number; the item is not stored"
            );
        }
        if (!_finished.Add(row.Key))
        {
            throw new ResultsException(
                ResultsFault.Failed,
                $"task {row.Task}, doc {row.Doc}: this item has a row already in {Folder}"
            );
        }
        _pending.Add(row);
        if (_pending.Count >= PartItems)
        {
            Flush();
        }
    }

    /// <summary>Writes the items that wait as a part.</summary>
    public void Flush()
    {
        if (_pending.Count == 0)
        {
            return;
        }
        var texts = _pending.Where(r => r.Contexts is not null || r.Continuations is not null).ToArray();
        var tokens = _pending.Where(r => r.CtxIds is not null || r.ContIds is not null).ToArray();
        WritePart("texts", ResultColumns.Texts, texts);
        WritePart("tokens", ResultColumns.Tokens, tokens);
        WritePart("items", ResultColumns.Items, _pending);
        _nextPart++;
        _pending.Clear();
        _parts.MergeSmall(ResultParts.MergedParts);
    }

    /// <summary>Writes what waits, the summary, and the mark that the run is finished.</summary>
    /// <exception cref="ResultsException">A metric is NaN or infinite.</exception>
    public void Complete(IReadOnlyCollection<MetricRow> summary)
    {
        ArgumentNullException.ThrowIfNull(summary);
        foreach (var row in summary)
        {
            if (ResultColumns.NonFinite(ResultColumns.Summary, row) is { } column)
            {
                throw new ResultsException(
                    ResultsFault.Failed,
                    $"task {row.Task}, metric {row.Metric}: {column} is not a finite number; no summary is written"
                );
            }
        }
        Flush();
        _parts.MergeSmall(atLeast: 2);
        ParquetFiles.Write(_db, Path.Combine(Folder, SummaryName), ResultColumns.Summary, summary);
        Durable.WriteAtomically(Path.Combine(Folder, DoneName), _ => { });
    }

    /// <summary>The items in the order they were appended; texts and token ids only where asked for.</summary>
    public IEnumerable<ItemRow> ReadItems(bool texts = false, bool tokens = false, string? task = null)
    {
        HashSet<ItemKey> seen = [];
        foreach (var part in _parts.List())
        {
            var textRows = texts ? ReadSide(part, "texts", ResultColumns.Texts, task) : [];
            var tokenRows = tokens ? ReadSide(part, "tokens", ResultColumns.Tokens, task) : [];
            var path = _parts.Path("items", part);
            foreach (var row in ParquetFiles.Read(_db, path, ResultColumns.Items, ResultRows.Item, task))
            {
                var item = row;
                if (textRows.TryGetValue(item.Key, out var text))
                {
                    item = text(item);
                }
                if (tokenRows.TryGetValue(item.Key, out var ids))
                {
                    item = ids(item);
                }
                if (!seen.Add(item.Key))
                {
                    throw Twice(path, item.Key);
                }
                yield return ItemCheck.Require(item, path);
            }
        }
    }

    public IReadOnlyList<MetricRow> ReadSummary()
    {
        var path = Path.Combine(Folder, SummaryName);
        var rows = ParquetFiles.Read(_db, path, ResultColumns.Summary, ResultRows.Metric).ToArray();
        HashSet<(string, string)> seen = [];
        foreach (var row in rows)
        {
            if (!seen.Add((row.Task, row.Metric)))
            {
                throw new ResultsException(
                    ResultsFault.Usage,
                    $"{path}: task {row.Task}, metric {row.Metric}: is there twice; expected each metric once"
                );
            }
            if (ResultColumns.NonFinite(ResultColumns.Summary, row) is { } column)
            {
                throw new ResultsException(
                    ResultsFault.Usage,
                    $"{path}: task {row.Task}, metric {row.Metric}: {column} is not a finite number"
                );
            }
        }
        return rows;
    }

    public void Dispose()
    {
        _db.Dispose();
        _lock?.Dispose();
    }

    private static void CheckOthers(string outDirectory, string folder, RunInfo info, bool force)
    {
        if (!Directory.Exists(outDirectory))
        {
            return;
        }
        foreach (var other in Directory.GetDirectories(outDirectory, "run=*").Order(StringComparer.Ordinal))
        {
            if (force)
            {
                Directory.Delete(other, recursive: true);
                continue;
            }
            if (other != folder)
            {
                var there = RunInfo.Read(Path.Combine(other, "run.json"));
                throw new ResultsException(
                    ResultsFault.Refused,
                    $"{other}: a run of other settings is there ({RunInfo.Differences(there, info)}); "
                        + "choose another --out or pass --force"
                );
            }
            if (File.Exists(Path.Combine(other, DoneName)))
            {
                throw new ResultsException(
                    ResultsFault.Refused,
                    $"{other}: this run is finished already; choose another --out or pass --force"
                );
            }
        }
    }

    private static string FindRun(string directory)
    {
        if (Path.GetFileName(Path.TrimEndingDirectorySeparator(directory)).StartsWith("run=", StringComparison.Ordinal))
        {
            return Directory.Exists(directory)
                ? directory
                : throw new ResultsException(ResultsFault.Usage, $"{directory}: no such folder");
        }
        var runs = Directory.Exists(directory)
            ? Directory.GetDirectories(directory, "run=*").Order(StringComparer.Ordinal).ToArray()
            : throw new ResultsException(ResultsFault.Usage, $"{directory}: no such folder");
        return runs.Length == 1
            ? runs[0]
            : throw new ResultsException(
                ResultsFault.Usage,
                $"{directory}: expected exactly one folder run=<id>, found {runs.Length}"
                    + (runs.Length > 1 ? $" ({string.Join(", ", runs.Select(Path.GetFileName))}); name one" : "")
            );
    }

    private void Prepare()
    {
        var runFile = Path.Combine(Folder, "run.json");
        if (!File.Exists(runFile))
        {
            JsonFiles.Write(runFile, Info);
        }
        _parts.Clean();
        foreach (var part in _parts.List())
        {
            _finished.UnionWith(ParquetFiles.Read(_db, _parts.Path("items", part), ResultColumns.Key, ResultRows.Key));
            _nextPart = part.Last + 1;
        }
    }

    private void WritePart(string kind, IReadOnlyList<ResultColumn<ItemRow>> columns, IReadOnlyCollection<ItemRow> rows)
    {
        if (rows.Count > 0)
        {
            ParquetFiles.Write(_db, _parts.Path(kind, new ResultPart(_nextPart, _nextPart)), columns, rows);
        }
    }

    /// <summary>What a part's texts or tokens add to its items.</summary>
    private Dictionary<ItemKey, Func<ItemRow, ItemRow>> ReadSide(
        ResultPart part,
        string kind,
        IReadOnlyList<ResultColumn<ItemRow>> columns,
        string? task
    )
    {
        var path = _parts.Path(kind, part);
        Dictionary<ItemKey, Func<ItemRow, ItemRow>> rows = [];
        if (!File.Exists(path))
        {
            return rows;
        }
        foreach (var (key, add) in ParquetFiles.Read(_db, path, columns, row => ResultRows.Side(row, kind), task))
        {
            if (!rows.TryAdd(key, add))
            {
                throw Twice(path, key);
            }
        }
        return rows;
    }

    private static ResultsException Twice(string path, ItemKey key) =>
        new(ResultsFault.Usage, $"{path}: task {key.Task}, doc {key.Doc}: is there twice; expected each item once");
}
