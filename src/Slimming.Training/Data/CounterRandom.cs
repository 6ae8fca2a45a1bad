namespace Slimming.Training.Data;

/// <summary>Random numbers that are a function of their counters alone: no state to save or to lose.</summary>
public static class CounterRandom
{
    /// <summary>64 bits for (seed, stream, counter), by SplitMix64's mixer.</summary>
    public static ulong Bits(ulong seed, ulong stream, ulong counter) => Mix(Mix(Mix(seed) ^ stream) ^ counter);

    /// <summary>A permutation of 0..count-1 for one epoch of one seed.</summary>
    public static int[] Permutation(int count, ulong seed, int epoch)
    {
        var order = Enumerable.Range(0, count).ToArray();
        for (var i = count - 1; i > 0; i--)
        {
            // The high half of a 64 x 32 bit product: uniform up to 2^-32.
            var j = (int)Math.BigMul(Bits(seed, (ulong)epoch, (ulong)i), (ulong)i + 1, out _);
            (order[i], order[j]) = (order[j], order[i]);
        }
        return order;
    }

    private static ulong Mix(ulong x)
    {
        x += 0x9E3779B97F4A7C15;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
