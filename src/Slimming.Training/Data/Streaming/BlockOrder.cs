namespace Slimming.Training.Data;

/// <summary>
/// The order in which an epoch takes rows: blocks of neighbours in random order, and the rows of a few blocks, a window,
/// shuffled with each other. A function of its arguments alone, so that any place in it is found without those before.
/// </summary>
internal sealed class BlockOrder
{
    private const ulong BlockStream = 0x424C4F434B533031;
    private const ulong WindowStream = 0x57494E444F573031;

    private readonly long _rows;
    private readonly int _blockRows;
    private readonly int _windowBlocks;
    private readonly ulong? _seed;
    private readonly int _epoch;
    private readonly int[] _blocks;
    private readonly int _windowOfShort;
    private readonly int _missing;

    /// <param name="rows">Rows in all; at least one.</param>
    /// <param name="limits">Rows of a block, blocks of a window.</param>
    /// <param name="seed">Of the shuffle; null: the order of the files.</param>
    /// <param name="epoch">Each has an order of its own.</param>
    public BlockOrder(long rows, StreamLimits limits, ulong? seed, int epoch)
    {
        (_rows, _blockRows, _windowBlocks, _seed, _epoch) = (rows, limits.BlockRows, limits.WindowBlocks, seed, epoch);
        var count = checked((int)((rows + _blockRows - 1) / _blockRows));
        _blocks = seed is { } value
            ? CounterRandom.Permutation(count, CounterRandom.Bits(value, BlockStream, 0), epoch)
            : [.. Enumerable.Range(0, count)];
        _missing = (int)(((long)count * _blockRows) - rows);
        _windowOfShort = Array.IndexOf(_blocks, count - 1) / _windowBlocks;
    }

    /// <summary>The window of a position, and the place in it.</summary>
    public (int Window, int Place) Find(long position)
    {
        long rows = _blockRows * _windowBlocks;
        var window = (int)(position / rows);
        if (window >= _windowOfShort && position >= Start(_windowOfShort + 1))
        {
            window = (int)((position + _missing) / rows);
        }
        return (window, (int)(position - Start(window)));
    }

    /// <summary>Stretches of row ranks that make up a window, ascending.</summary>
    public IEnumerable<(long First, int Count)> Stretches(int window) =>
        _blocks
            .Skip(window * _windowBlocks)
            .Take(_windowBlocks)
            .Order()
            .Select(block => (long)block * _blockRows)
            .Select(first => (first, (int)Math.Min(_blockRows, _rows - first)));

    /// <summary>For each place of a window of <paramref name="rows"/> rows, which of them stands there.</summary>
    public int[] Shuffle(int window, int rows) =>
        _seed is { } seed
            ? CounterRandom.Permutation(rows, CounterRandom.Bits(seed, WindowStream, (ulong)window), _epoch)
            : [.. Enumerable.Range(0, rows)];

    private long Start(int window) =>
        ((long)window * _blockRows * _windowBlocks) - (window > _windowOfShort ? _missing : 0);
}
