namespace Slimming.Training.Data;

/// <summary>The rows of some ranks of a selection in the order of an epoch, a window of them at hand.</summary>
internal sealed class RowStream(
    RowSource source,
    RowSelection selection,
    (long First, long Count) ranks,
    StreamLimits limits,
    ulong? seed
)
{
    private BlockOrder? _order;
    private int _epoch;
    private int _window = -1;
    private int[] _shuffle = [];
    private (long Rank, RowFile File, RowPlace Place)[] _rows = [];

    public long Count => ranks.Count;

    /// <summary>A row and its rank in the selection.</summary>
    public (long Rank, RowFile File, RowPlace Place) At(int epoch, long position)
    {
        if (_order is null || epoch != _epoch)
        {
            _order = new BlockOrder(ranks.Count, limits, seed, epoch);
            (_epoch, _window) = (epoch, -1);
        }
        var (window, place) = _order.Find(position);
        if (window != _window)
        {
            Load(_order, window);
        }
        return _rows[_shuffle[place]];
    }

    private void Load(BlockOrder order, int window)
    {
        // The old rows go first: never two windows at once.
        (_window, _rows) = (-1, []);
        var stretches = order.Stretches(window).Select(s => (First: ranks.First + s.First, s.Count)).ToArray();
        var places = source.Locate(stretches.SelectMany(s => selection.Take(s.First, s.Count)));
        var rank = stretches.SelectMany(s => Enumerable.Range(0, s.Count).Select(i => s.First + i));
        _rows = [.. rank.Zip(places, (r, row) => (r, row.File, row.Place))];
        (_shuffle, _window) = (order.Shuffle(window, _rows.Length), window);
    }
}
