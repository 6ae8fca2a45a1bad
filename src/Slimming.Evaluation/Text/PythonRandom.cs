namespace Slimming.Evaluation.Text;

/// <summary>
/// Python's random.Random for an integer seed: MT19937 seeded by init_by_array, and <c>sample</c> and <c>randint</c> on it.
/// The drawing rules are those of CPython's random.py as METHODS.md section 5 words them.
/// </summary>
public sealed class PythonRandom
{
    private readonly MersenneTwister _twister;

    public PythonRandom(uint seed) => _twister = MersenneTwister.ByArray(seed);

    /// <summary>The next <paramref name="bits"/> bits, 1 to 32.</summary>
    public uint GetRandBits(int bits) => _twister.NextUInt32() >> (32 - bits);

    /// <summary>A whole number from 0 to <paramref name="n"/> - 1, by rejection.</summary>
    public int RandBelow(int n)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var bits = 32 - System.Numerics.BitOperations.LeadingZeroCount((uint)n);
        uint drawn;
        do
        {
            drawn = GetRandBits(bits);
        } while (drawn >= (uint)n);
        return (int)drawn;
    }

    /// <summary>random.randint(low, high): both ends may be drawn.</summary>
    public int RandInt(int low, int high) => low + RandBelow(high - low + 1);

    /// <summary>random.sample(range(n), k): k different numbers in the order drawn.</summary>
    public int[] Sample(int n, int k)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(k);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(k, n);
        var result = new int[k];
        var setSize = 21.0;
        if (k > 5)
        {
            setSize += Math.Pow(4, Math.Ceiling(Math.Log(k * 3.0) / Math.Log(4.0)));
        }
        if (n <= setSize)
        {
            var pool = Enumerable.Range(0, n).ToArray();
            for (var i = 0; i < k; i++)
            {
                var j = RandBelow(n - i);
                result[i] = pool[j];
                pool[j] = pool[n - i - 1];
            }
            return result;
        }
        var chosen = new HashSet<int>();
        for (var i = 0; i < k; i++)
        {
            var j = RandBelow(n);
            while (!chosen.Add(j))
            {
                j = RandBelow(n);
            }
            result[i] = j;
        }
        return result;
    }
}
