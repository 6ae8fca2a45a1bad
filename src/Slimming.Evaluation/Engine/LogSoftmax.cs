using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slimming.Evaluation.Engine;

/// <summary>Log-probabilities from a row of logits: exponentials in f32, their sum in f64.</summary>
internal static class LogSoftmax
{
    /// <summary>Largest logit, its first index, and log of the sum of exponentials relative to it. NaN anywhere makes the normaliser NaN.</summary>
    public static (int ArgMax, double Normalizer) Reduce(ReadOnlySpan<float> logits)
    {
        var best = 0;
        for (var i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[best])
            {
                best = i;
            }
        }
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
