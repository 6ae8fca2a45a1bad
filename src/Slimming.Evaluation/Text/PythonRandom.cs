namespace Slimming.Evaluation.Text;

/// <summary>
/// Python's random.Random for an integer seed: MT19937 seeded by init_by_array, and <c>sample</c> on it.
/// Matsumoto and Nishimura 1998; the drawing rules are those of CPython's random.py as METHODS.md section 5 words them.
/// </summary>
public sealed class PythonRandom
{
    private const int Size = 624;
    private const int Shift = 397;
    private readonly uint[] _state = new uint[Size];
    private int _next = Size;

    public PythonRandom(uint seed)
    {
        Fill(19650218);
        // init_by_array with a key of one word: the key index stays 0.
        var i = 1;
        for (var k = 0; k < Size; k++)
        {
            _state[i] = (_state[i] ^ ((_state[i - 1] ^ (_state[i - 1] >> 30)) * 1664525)) + seed;
            i = Advance(i);
        }
        for (var k = 0; k < Size - 1; k++)
        {
            _state[i] = (_state[i] ^ ((_state[i - 1] ^ (_state[i - 1] >> 30)) * 1566083941)) - (uint)i;
            i = Advance(i);
        }
        _state[0] = 0x80000000;
    }

    /// <summary>The next <paramref name="bits"/> bits, 1 to 32.</summary>
    public uint GetRandBits(int bits) => NextUInt32() >> (32 - bits);

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

    private void Fill(uint seed)
    {
        _state[0] = seed;
        for (var i = 1u; i < Size; i++)
        {
            _state[i] = (1812433253 * (_state[i - 1] ^ (_state[i - 1] >> 30))) + i;
        }
    }

    private int Advance(int i)
    {
        if (++i < Size)
        {
            return i;
        }
        _state[0] = _state[Size - 1];
        return 1;
    }

    private uint NextUInt32()
    {
        if (_next == Size)
        {
            for (var i = 0; i < Size; i++)
            {
                var y = (_state[i] & 0x80000000) | (_state[(i + 1) % Size] & 0x7fffffff);
                _state[i] = _state[(i + Shift) % Size] ^ (y >> 1) ^ ((y & 1) == 0 ? 0 : 0x9908b0df);
            }
            _next = 0;
        }
        var value = _state[_next++];
        value ^= value >> 11;
        value ^= (value << 7) & 0x9d2c5680;
        value ^= (value << 15) & 0xefc60000;
        return value ^ (value >> 18);
    }
}
