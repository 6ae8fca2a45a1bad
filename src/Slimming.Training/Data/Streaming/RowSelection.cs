using System.Numerics;

namespace Slimming.Training.Data;

/// <summary>A set of rows out of many, one bit each, that answers which is the n-th of them.</summary>
internal sealed class RowSelection
{
    /// <summary>Words of bits from one known rank to the next.</summary>
    private const int Stride = 64;

    private readonly ulong[]? _bits;
    private readonly long[] _ranks = [];

    private RowSelection(long rows, long count) => (Rows, Count) = (rows, count);

    private RowSelection(long rows, ulong[] bits)
    {
        (Rows, _bits) = (rows, bits);
        _ranks = new long[(bits.Length / Stride) + 1];
        for (var word = 0; word < bits.Length; word++)
        {
            if (word % Stride == 0)
            {
                _ranks[word / Stride] = Count;
            }
            Count += BitOperations.PopCount(bits[word]);
        }
    }

    /// <summary>Rows that were chosen from.</summary>
    public long Rows { get; }

    /// <summary>Rows in the set.</summary>
    public long Count { get; }

    public static RowSelection All(long rows) => new(rows, rows);

    /// <summary>Of each row in order, whether it is in the set.</summary>
    public static RowSelection Of(long rows, IEnumerable<bool> chosen)
    {
        var bits = new ulong[(rows + 63) / 64];
        long row = 0;
        foreach (var isChosen in chosen)
        {
            bits[row / 64] |= (isChosen ? 1UL : 0) << (int)(row % 64);
            row++;
        }
        return row == rows
            ? new RowSelection(rows, bits)
            : throw new ArgumentException($"{row} answers for {rows} rows");
    }

    /// <summary>Those of the set that <paramref name="keep"/>, given a row's rank in it, keeps.</summary>
    public RowSelection Where(Func<long, bool> keep)
    {
        long rank = 0;
        return Of(Rows, Enumerate().Select(isIn => isIn && keep(rank++)));
    }

    /// <summary>Rows of the set before <paramref name="row"/>.</summary>
    public long RankOf(long row)
    {
        if (_bits is null)
        {
            return row;
        }
        var word = (int)(row / 64);
        var rank = _ranks[word / Stride];
        for (var i = word / Stride * Stride; i < word; i++)
        {
            rank += BitOperations.PopCount(_bits[i]);
        }
        var rest = (int)(row % 64);
        return rest == 0 ? rank : rank + BitOperations.PopCount(_bits[word] << (64 - rest));
    }

    /// <summary>The rows of <paramref name="count"/> ranks from <paramref name="rank"/> on, ascending.</summary>
    public IEnumerable<long> Take(long rank, long count)
    {
        for (var row = count > 0 ? Find(rank) : 0; count > 0; row++)
        {
            if (_bits is null || (_bits[row / 64] >> (int)(row % 64) & 1) != 0)
            {
                count--;
                yield return row;
            }
        }
    }

    /// <summary>The row of a rank, or one in the 64 before it.</summary>
    private long Find(long rank)
    {
        if (_bits is null)
        {
            return rank;
        }
        var stride = Array.BinarySearch(_ranks, rank);
        // Several strides may begin at the same rank: the last of them holds the row.
        stride = stride < 0 ? ~stride - 1 : stride;
        while (stride + 1 < _ranks.Length && _ranks[stride + 1] <= rank)
        {
            stride++;
        }
        var before = _ranks[stride];
        var word = stride * Stride;
        for (; before + BitOperations.PopCount(_bits[word]) <= rank; word++)
        {
            before += BitOperations.PopCount(_bits[word]);
        }
        var bits = _bits[word];
        for (; before < rank; before++)
        {
            bits &= bits - 1;
        }
        return (word * 64L) + BitOperations.TrailingZeroCount(bits);
    }

    private IEnumerable<bool> Enumerate()
    {
        for (long row = 0; row < Rows; row++)
        {
            yield return _bits is null || (_bits[row / 64] >> (int)(row % 64) & 1) != 0;
        }
    }
}
