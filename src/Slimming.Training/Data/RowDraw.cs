namespace Slimming.Training.Data;

/// <summary>Draws without replacement; which ones depends on the seed and on their number alone.</summary>
internal static class RowDraw
{
    private const ulong SampleStream = 0x53414D504C453031;
    private const ulong HeldOutStream = 0x48454C444F555431;

    /// <summary><paramref name="count"/> of the items (all, where there are fewer), in their order.</summary>
    /// <remarks>Reads the items once and holds no more than <paramref name="count"/> of them.</remarks>
    public static IEnumerable<T> Sample<T>(IEnumerable<T> items, int count, ulong seed)
    {
        // The greatest key on top: it goes when a smaller one comes.
        PriorityQueue<(T Item, long Index), (ulong Key, long Index)> kept = new(
            Comparer<(ulong, long)>.Create((a, b) => b.CompareTo(a))
        );
        long index = 0;
        foreach (var item in items)
        {
            var priority = (CounterRandom.Bits(seed, SampleStream, (ulong)index), index);
            if (kept.Count < count)
            {
                kept.Enqueue((item, index), priority);
            }
            else
            {
                kept.EnqueueDequeue((item, index), priority);
            }
            index++;
        }
        return kept.UnorderedItems.OrderBy(entry => entry.Element.Index).Select(entry => entry.Element.Item);
    }

    /// <summary>For each of <paramref name="rows"/> rows, whether it is one of the <paramref name="count"/> held out.</summary>
    public static bool[] HeldOut(int rows, int count, ulong seed)
    {
        var held = new bool[rows];
        foreach (
            var row in Enumerable
                .Range(0, rows)
                .OrderBy(row => CounterRandom.Bits(seed, HeldOutStream, (ulong)row))
                .ThenBy(row => row)
                .Take(count)
        )
        {
            held[row] = true;
        }
        return held;
    }
}
