using Slimming.Gguf;

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

    /// <summary>Whether <see cref="Sample"/> takes the item of an index, without the items.</summary>
    public static Func<long, bool> Sampled(long items, long count, ulong seed) =>
        Smallest(items, count, seed, SampleStream);

    /// <summary>Whether a row is one of the <paramref name="count"/> held out of <paramref name="rows"/> rows.</summary>
    public static Func<long, bool> HeldOut(long rows, long count, ulong seed) =>
        Smallest(rows, count, seed, HeldOutStream);

    /// <summary>Rows that <see cref="DataOptions.EvalFraction"/> holds out of <paramref name="rows"/>.</summary>
    /// <exception cref="SlimmingException">None would be left.</exception>
    public static long HeldOutCount(DataOptions options, long rows)
    {
        var count = Math.Max(1, (long)Math.Round(options.EvalFraction!.Value * rows));
        return count < rows
            ? count
            : throw new SlimmingException(
                ExitCode.Usage,
                $"{string.Join(", ", options.Files)}: --eval-fraction {options.EvalFraction} holds out {count} of {rows} "
                    + "rows; expected at least one to train on"
            );
    }

    /// <summary>Those with the smallest keys: two passes over the keys, which are never held.</summary>
    private static Func<long, bool> Smallest(long items, long count, ulong seed, ulong stream)
    {
        if (count >= items)
        {
            return _ => true;
        }
        ulong Key(long index) => CounterRandom.Bits(seed, stream, (ulong)index);
        var bins = new long[1 << 16];
        for (long i = 0; i < items; i++)
        {
            bins[Key(i) >> 48]++;
        }
        var bin = 0;
        for (; bins[bin] < count; bin++)
        {
            count -= bins[bin];
        }
        List<(ulong Key, long Index)> shared = [];
        for (long i = 0; i < items; i++)
        {
            if (Key(i) >> 48 == (ulong)bin)
            {
                shared.Add((Key(i), i));
            }
        }
        shared.Sort();
        var last = shared[(int)count - 1];
        return index => (Key(index), index).CompareTo(last) <= 0;
    }
}
