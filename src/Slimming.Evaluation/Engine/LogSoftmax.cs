using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slimming.Evaluation.Engine;

/// <summary>Log-probabilities from a row of logits: exponentials in f32, their sum in f64.</summary>
internal static class LogSoftmax
{
    /// <summary>Index of the largest logit, the first of equals; of the first NaN where there is one.</summary>
    public static int ArgMax(ReadOnlySpan<float> logits)
    {
        var lanes = MemoryMarshal.Cast<float, Vector512<float>>(logits);
        // NaN goes through Max, so it ends up as the largest.
        var largest = Vector512.Create(float.NegativeInfinity);
        foreach (ref readonly var lane in lanes)
        {
            largest = Vector512.Max(largest, lane);
        }
        var max = float.NegativeInfinity;
        for (var i = 0; i < Vector512<float>.Count; i++)
        {
            max = Math.Max(max, largest[i]);
        }
        foreach (var logit in logits[(lanes.Length * Vector512<float>.Count)..])
        {
            max = Math.Max(max, logit);
        }
        if (!float.IsNaN(max))
        {
            return logits.IndexOf(max);
        }
        var first = 0;
        while (!float.IsNaN(logits[first]))
        {
            first++;
        }
        return first;
    }

    /// <summary>Largest logit's index, and log of the sum of exponentials. NaN anywhere makes the normaliser NaN.</summary>
    public static (int ArgMax, double Normalizer) Reduce(ReadOnlySpan<float> logits)
    {
        var best = ArgMax(logits);
        var max = logits[best];
        var lanes = MemoryMarshal.Cast<float, Vector512<float>>(logits);
        var offset = Vector512.Create(max);
        var sums = Vector512<double>.Zero;
        foreach (ref readonly var lane in lanes)
        {
            var (low, high) = Vector512.Widen(Vector512.Exp(lane - offset));
            sums += low + high;
        }
        var sum = Vector512.Sum(sums);
        foreach (var logit in logits[(lanes.Length * Vector512<float>.Count)..])
        {
            sum += Math.Exp(logit - max);
        }
        return (best, max + Math.Log(sum));
    }
}
