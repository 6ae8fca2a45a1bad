namespace Slimming.Evaluation.Text;

/// <summary>The generator MT19937 of Matsumoto and Nishimura 1998, from which Python and torch both draw.</summary>
internal sealed class MersenneTwister
{
    private const int Size = 624;
    private const int Shift = 397;
    private readonly uint[] _state = new uint[Size];
    private int _next = Size;

    /// <summary>Seeded by one number (init_genrand), as std::mt19937 and torch are.</summary>
    public MersenneTwister(uint seed)
    {
        _state[0] = seed;
        for (var i = 1u; i < Size; i++)
        {
            _state[i] = (1812433253 * (_state[i - 1] ^ (_state[i - 1] >> 30))) + i;
        }
    }

    /// <summary>Seeded by an array of one number (init_by_array), as Python's random.Random is.</summary>
    public static MersenneTwister ByArray(uint key)
    {
        var twister = new MersenneTwister(19650218);
        var state = twister._state;
        // With a key of one word the key index stays 0.
        var i = 1;
        for (var k = 0; k < Size; k++)
        {
            state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * 1664525)) + key;
            i = Advance(state, i);
        }
        for (var k = 0; k < Size - 1; k++)
        {
            state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * 1566083941)) - (uint)i;
            i = Advance(state, i);
        }
        state[0] = 0x80000000;
        return twister;
    }

    public uint NextUInt32()
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

    private static int Advance(uint[] state, int i)
    {
        if (++i < Size)
        {
            return i;
        }
        state[0] = state[Size - 1];
        return 1;
    }
}

/// <summary>torch.randperm of a CPU generator, as METHODS.md section 6 words it.</summary>
internal static class TorchRandom
{
    /// <summary>The numbers 0 to <paramref name="n"/> - 1, shuffled.</summary>
    public static int[] Permutation(int n, uint seed)
    {
        var twister = new MersenneTwister(seed);
        var result = Enumerable.Range(0, n).ToArray();
        for (var i = 0; i < n - 1; i++)
        {
            var j = i + (int)(twister.NextUInt32() % (uint)(n - i));
            (result[i], result[j]) = (result[j], result[i]);
        }
        return result;
    }
}
