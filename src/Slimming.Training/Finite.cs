using System.Numerics;
using System.Runtime.InteropServices;

namespace Slimming.Training;

/// <summary>Looks for NaN and infinity.</summary>
internal static class Finite
{
    public static bool All(ReadOnlySpan<float> values)
    {
        var vectors = MemoryMarshal.Cast<float, Vector<float>>(values);
        foreach (ref readonly var vector in vectors)
        {
            // x - x is 0 for finite x alone.
            if (vector - vector != Vector<float>.Zero)
            {
                return false;
            }
        }
        foreach (var value in values[(vectors.Length * Vector<float>.Count)..])
        {
            if (!float.IsFinite(value))
            {
                return false;
            }
        }
        return true;
    }
}
