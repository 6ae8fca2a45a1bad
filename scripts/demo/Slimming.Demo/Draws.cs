namespace Slimming.Demo;

/// <summary>
/// Seeded draws (SplitMix64). Integer arithmetic and exact float operations only, so that every machine gets the same bytes.
/// </summary>
public sealed class Draws(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        _state += 0x9E3779B97F4A7C15;
        var z = _state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>An integer from 0 to <paramref name="bound"/> - 1; the bias of the modulus is below 2^-50 here.</summary>
    public int Below(int bound) => (int)(Next() % (ulong)bound);

    public T Pick<T>(IReadOnlyList<T> items) => items[Below(items.Count)];

    public void Shuffle<T>(IList<T> items)
    {
        for (var i = items.Count - 1; i > 0; i--)
        {
            var j = Below(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    /// <summary>Mean 0, variance 1: twelve uniforms added, which needs no logarithm whose last bit differs between libraries.</summary>
    public float Normal()
    {
        var sum = 0.0;
        for (var i = 0; i < 12; i++)
        {
            sum += (Next() >> 11) * (1.0 / (1UL << 53));
        }
        return (float)(sum - 6.0);
    }
}
