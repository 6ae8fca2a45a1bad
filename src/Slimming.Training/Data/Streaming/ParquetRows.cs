using Slimming.Results;

namespace Slimming.Training.Data;

/// <summary>Rows of a Parquet file, a row group at a time.</summary>
internal sealed class ParquetRows : RowFile
{
    /// <summary>Most stretches of rows that one query names; beyond that it reads across the gaps.</summary>
    private const int MostRanges = 32;

    private readonly DuckDb _db;
    private readonly List<long> _groupEnds = [];

    public ParquetRows(DuckDb db, string path, int part)
        : base(path, part)
    {
        _db = db;
        try
        {
            foreach (var rows in DatasetReader.ParquetGroups(db, path))
            {
                Count += rows;
                _groupEnds.Add(Count);
            }
        }
        catch (Gguf.SlimmingException e)
        {
            Fault = e;
        }
    }

    public override IReadOnlyList<RowPlace> Locate(IReadOnlyList<long> numbers)
    {
        List<RowPlace> places = new(numbers.Count);
        for (var first = 0; first < numbers.Count; )
        {
            var group = _groupEnds.BinarySearch(numbers[first]);
            var end = _groupEnds[group < 0 ? ~group : group + 1];
            var last = first;
            while (last + 1 < numbers.Count && numbers[last + 1] < end)
            {
                last++;
            }
            var next = first;
            foreach (var (number, json) in DatasetReader.ParquetRows(_db, Path, Ranges(numbers, first, last)))
            {
                if (next <= last && number == numbers[next])
                {
                    places.Add(new RowPlace(number, 0, 0, json));
                    next++;
                }
            }
            if (next <= last)
            {
                throw new Gguf.SlimmingException(
                    Gguf.ExitCode.Failed,
                    $"{Path}: row {numbers[next]} (from 0) is not there any more; leave data files alone until the run ends"
                );
            }
            first = last + 1;
        }
        return places;
    }

    public override RawRow Read(RowPlace place) => new(Path, Part, place.Number, place.Json);

    /// <summary>Stretches from first to last row, both included, that hold the numbers from one index to another.</summary>
    private static List<(long First, long Last)> Ranges(IReadOnlyList<long> numbers, int first, int last)
    {
        for (long gap = 1; ; gap *= 4)
        {
            List<(long First, long Last)> ranges = [(numbers[first], numbers[first])];
            for (var i = first + 1; i <= last; i++)
            {
                if (numbers[i] - ranges[^1].Last <= gap)
                {
                    ranges[^1] = (ranges[^1].First, numbers[i]);
                }
                else
                {
                    ranges.Add((numbers[i], numbers[i]));
                }
            }
            if (ranges.Count <= MostRanges)
            {
                return ranges;
            }
        }
    }
}
