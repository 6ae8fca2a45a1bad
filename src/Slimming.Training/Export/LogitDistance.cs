namespace Slimming.Training.Export;

/// <summary>How far two models' logits lie apart over a text.</summary>
/// <param name="Positions">Positions compared.</param>
/// <param name="MeanKl">Mean of KL(reference || other) over the whole vocabulary, in nats.</param>
/// <param name="ArgmaxDiffers">Positions whose most probable token differs.</param>
/// <param name="ArgmaxDiffersClearly">Of those, the ones where the reference's margin is at least <see cref="ClearMargin"/>.</param>
/// <param name="MaxAbs">Largest absolute difference of a logit.</param>
public sealed record LogitDistance(
    int Positions,
    double MeanKl,
    int ArgmaxDiffers,
    int ArgmaxDiffersClearly,
    double MaxAbs
)
{
    /// <summary>Logits closer than this may swap places by rounding alone.</summary>
    public const float ClearMargin = 0.01f;

    /// <summary>Compares position by position.</summary>
    /// <param name="reference">Sequences of [rows, n_vocab].</param>
    /// <param name="other">The same rows.</param>
    /// <param name="vocabulary">n_vocab.</param>
    public static LogitDistance Between(IReadOnlyList<float[]> reference, IReadOnlyList<float[]> other, int vocabulary)
    {
        var positions = 0;
        var differs = 0;
        var clearly = 0;
        var kl = 0.0;
        var maxAbs = 0.0;
        for (var s = 0; s < reference.Count; s++)
        {
            for (var at = 0; at < reference[s].Length; at += vocabulary)
            {
                var p = reference[s].AsSpan(at, vocabulary);
                var q = other[s].AsSpan(at, vocabulary);
                positions++;
                kl += Kl(p, q, ref maxAbs);
                var (best, margin) = Best(p);
                if (best != Best(q).Index)
                {
                    differs++;
                    clearly += margin >= ClearMargin ? 1 : 0;
                }
            }
        }
        return new LogitDistance(positions, kl / positions, differs, clearly, maxAbs);
    }

    private static double Kl(ReadOnlySpan<float> p, ReadOnlySpan<float> q, ref double maxAbs)
    {
        var logP = LogSum(p);
        var logQ = LogSum(q);
        var sum = 0.0;
        for (var i = 0; i < p.Length; i++)
        {
            var a = p[i] - logP;
            sum += Math.Exp(a) * (a - (q[i] - logQ));
            // Written so that NaN counts as a difference.
            var difference = Math.Abs((double)p[i] - q[i]);
            maxAbs = difference <= maxAbs ? maxAbs : difference;
        }
        return sum;
    }

    private static double LogSum(ReadOnlySpan<float> logits)
    {
        var max = double.NegativeInfinity;
        foreach (var logit in logits)
        {
            max = Math.Max(max, logit);
        }
        var sum = 0.0;
        foreach (var logit in logits)
        {
            sum += Math.Exp(logit - max);
        }
        return max + Math.Log(sum);
    }

    private static (int Index, float Margin) Best(ReadOnlySpan<float> logits)
    {
        var best = 0;
        var second = float.NegativeInfinity;
        for (var i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[best])
            {
                second = logits[best];
                best = i;
            }
            else if (logits[i] > second)
            {
                second = logits[i];
            }
        }
        return (best, logits[best] - second);
    }
}
