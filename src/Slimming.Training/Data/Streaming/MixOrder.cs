namespace Slimming.Training.Data;

/// <summary>Which source each place of an epoch belongs to, without a list of them.</summary>
/// <param name="drawn">Rows of each source in one epoch.</param>
/// <param name="alternate">
/// Spread each source evenly over the epoch: its k-th row of n stands at (k + 1/2) / n of the way. Otherwise source after
/// source.
/// </param>
internal sealed class MixOrder(IReadOnlyList<long> drawn, bool alternate)
{
    private long[] _taken = [];
    private long _next = long.MaxValue;
    private (int Part, long Index) _last;

    /// <summary>The source of a place, and how many rows of it come before. Quick where places come in order.</summary>
    public (int Part, long Index) At(long position)
    {
        if (position < _next - 1)
        {
            (_taken, _next) = (new long[drawn.Count], 0);
        }
        for (; _next <= position; _next++)
        {
            var part = Next();
            _last = (part, _taken[part]++);
        }
        return _last;
    }

    private int Next()
    {
        var best = -1;
        for (var part = 0; part < drawn.Count; part++)
        {
            if (_taken[part] < drawn[part] && (best < 0 || (alternate && IsBefore(part, best))))
            {
                best = part;
            }
        }
        return best;
    }

    private bool IsBefore(int a, int b) =>
        ((2 * (Int128)_taken[a]) + 1) * drawn[b] < ((2 * (Int128)_taken[b]) + 1) * drawn[a];
}
