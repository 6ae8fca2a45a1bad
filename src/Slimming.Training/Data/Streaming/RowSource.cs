using Slimming.Gguf;
using Slimming.Results;
using Slimming.Shared;

namespace Slimming.Training.Data;

/// <summary>All rows of the data files, numbered through, and which of them are trained on or held out.</summary>
internal sealed class RowSource : IDisposable
{
    /// <summary>Pages of a Parquet file are unpacked whole, and some writers make large ones.</summary>
    private const int MemoryLimitMiB = 1024;

    private readonly LazyDuckDb _db;
    private readonly RowFile[] _files;
    private readonly long[] _starts;

    private RowSource(LazyDuckDb db, RowFile[] files)
    {
        (_db, _files) = (db, files);
        _starts = new long[files.Length + 1];
        for (var i = 0; i < files.Length; i++)
        {
            _starts[i + 1] = _starts[i] + files[i].Count;
        }
        Candidates = Train = HeldOut = RowSelection.All(0);
    }

    /// <summary>Paths in order.</summary>
    public IEnumerable<string> Files => _files.Select(file => file.Path);

    public long Rows => _starts[^1];

    /// <summary>Rows that <c>--where</c> leaves.</summary>
    public RowSelection Candidates { get; private set; }

    /// <summary>Rows to train on.</summary>
    public RowSelection Train { get; private set; }

    /// <summary>Rows kept for the evaluation.</summary>
    public RowSelection HeldOut { get; private set; }

    /// <summary>Counts the rows; null where no more are left than may be held.</summary>
    /// <exception cref="SlimmingException">A file of so many rows is broken, or of a kind that cannot be streamed.</exception>
    public static RowSource? Open(DataOptions options, IReadOnlyList<DataSource> sources)
    {
        if (options.Sample <= options.Limits.HeldRows || AreSmall(sources, options.Limits))
        {
            return null;
        }
        LazyDuckDb db = new(MemoryLimitMiB);
        RowSource? source = null;
        try
        {
            source = new RowSource(db, [.. DatasetReader.Files(db, sources).Select(file => OpenFile(db, file))]);
            if (source.Rows > options.Limits.HeldRows && source.Select(options))
            {
                return source;
            }
        }
        catch
        {
            db.Dispose();
            throw;
        }
        db.Dispose();
        return null;
    }

    /// <summary>Finds rows by their numbers over all files, ascending.</summary>
    public IReadOnlyList<(RowFile File, RowPlace Place)> Locate(IEnumerable<long> rows)
    {
        List<(RowFile, RowPlace)> places = [];
        List<long> numbers = [];
        var file = 0;
        foreach (var row in rows)
        {
            while (row >= _starts[file + 1])
            {
                Flush();
                file = FileOf(row);
            }
            numbers.Add(row - _starts[file]);
        }
        Flush();
        return places;

        void Flush()
        {
            if (numbers.Count > 0)
            {
                places.AddRange(_files[file].Locate(numbers).Select(place => (_files[file], place)));
                numbers.Clear();
            }
        }
    }

    /// <summary>Ranks in <paramref name="selection"/> of the rows of one value of <c>--data</c>.</summary>
    public (long First, long Count) RanksOf(int part, RowSelection selection)
    {
        var first = Array.FindIndex(_files, file => file.Part == part);
        var last = Array.FindLastIndex(_files, file => file.Part == part);
        var rank = selection.RankOf(_starts[first]);
        return (rank, selection.RankOf(_starts[last + 1]) - rank);
    }

    /// <summary>The first row of a file that <c>--where</c> and <c>--sample</c> leave; it tells the format.</summary>
    public RawRow FirstRow(RowFile file)
    {
        var start = _starts[Array.IndexOf(_files, file)];
        var row = new[] { Train, HeldOut }
            .Where(selection => selection.RankOf(start) < selection.Count)
            .Min(selection => selection.Take(selection.RankOf(start), 1).First());
        return file.Read(file.Locate([row - start])[0]);
    }

    public void Dispose() => _db.Dispose();

    /// <summary>Text files of so few bytes that they cannot have more rows than may be held.</summary>
    private static bool AreSmall(IReadOnlyList<DataSource> sources, StreamLimits limits) =>
        sources.All(source =>
            File.Exists(source.Pattern)
            && !PackedFile.IsPacked(source.Pattern)
            && TextFile.Extension(source.Pattern) != ".parquet"
        )
        && sources.Sum(source => new FileInfo(source.Pattern).Length) <= 2L * limits.HeldRows;

    private static RowFile OpenFile(LazyDuckDb db, (int Part, string Path) file)
    {
        var (part, path) = file;
        return PackedFile.IsPacked(path) ? new ZippedRows(db.Value, path, part)
            : TextFile.Extension(path) == ".parquet" ? new ParquetRows(db.Value, path, part)
            : TextFile.Extension(path) is ".csv" or ".tsv"
                ? new TextRows(path, part, csv => new CsvRows(csv, DatasetReader.Columns(db.Value, csv)))
            : new TextRows(path, part, json => new JsonRows(json));
    }

    /// <summary>Draws the rows; whether more are left than may be held.</summary>
    private bool Select(DataOptions options)
    {
        if (_files.FirstOrDefault(file => file.Fault is not null) is { } broken)
        {
            throw broken.Fault!;
        }
        Candidates = options.Where is { } where ? Meeting(where) : RowSelection.All(Rows);
        var drawn = Candidates;
        if (options.Sample < Candidates.Count)
        {
            drawn = Candidates.Where(RowDraw.Sampled(Candidates.Count, options.Sample.Value, options.Seed));
        }
        if (drawn.Count <= options.Limits.HeldRows)
        {
            return false;
        }
        RefuseZipped(drawn.Count);
        Train = drawn;
        HeldOut = RowSelection.All(0);
        if (options.EvalFraction is { } fraction)
        {
            var count = RowDraw.HeldOutCount(options, drawn.Count);
            var held = RowDraw.HeldOut(drawn.Count, count, options.Seed);
            (Train, HeldOut) = (drawn.Where(rank => !held(rank)), drawn.Where(held));
        }
        return true;
    }

    private RowSelection Meeting(string where)
    {
        DatasetReader.Confine(_db.Value, Files);
        return RowSelection.Of(Rows, _files.SelectMany(file => Answers(file, where)));
    }

    private IEnumerable<bool> Answers(RowFile file, string where)
    {
        long answers = 0;
        foreach (var meets in DatasetReader.Meets(_db.Value, file.Path, where))
        {
            if (++answers <= file.Count)
            {
                yield return meets;
            }
        }
        if (answers != file.Count)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{file.Path}: has {file.Count} rows, and --where was answered for {answers}; convert the file to JSONL or "
                    + "Parquet"
            );
        }
    }

    private void RefuseZipped(long rows)
    {
        if (_files.FirstOrDefault(file => file is ZippedRows) is { } zipped)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{zipped.Path}: is compressed, and the data has {rows} rows; beyond {StreamLimits.MostHeldRows} rows are "
                    + "read as they are needed, which needs a file that can be entered anywhere: unpack it (gunzip), "
                    + "convert it to Parquet, or take fewer rows with --sample"
            );
        }
    }

    private int FileOf(long row)
    {
        var found = Array.BinarySearch(_starts, row);
        // Of files that begin at the same row all but the last are empty.
        found = found < 0 ? ~found - 1 : found;
        while (row >= _starts[found + 1])
        {
            found++;
        }
        return found;
    }

    /// <summary>A compressed file: its rows can be counted, but not entered.</summary>
    private sealed class ZippedRows : RowFile
    {
        public ZippedRows(DuckDb db, string path, int part)
            : base(path, part)
        {
            try
            {
                Count = DatasetReader.Count(db, path);
            }
            catch (SlimmingException e)
            {
                Fault = e;
            }
        }

        public override IReadOnlyList<RowPlace> Locate(IReadOnlyList<long> numbers) =>
            throw new NotSupportedException($"{Path}: compressed");

        public override RawRow Read(RowPlace place) => throw new NotSupportedException($"{Path}: compressed");
    }
}
