namespace Slimming.Training.Export;

/// <summary>One comparison over the fixed text.</summary>
/// <param name="What">Which two sides, in words.</param>
/// <param name="Distance">How far apart.</param>
public sealed record Comparison(string What, LogitDistance Distance);

/// <summary>What the finished file was compared with.</summary>
/// <param name="Base">llama.cpp against the native forward on the base: the noise of llama.cpp's own arithmetic.</param>
/// <param name="Exported">The same on what was exported.</param>
/// <param name="Stored">A merged file against base plus adapter, both in the native forward: what storing in its types cost. Null for an adapter.</param>
/// <param name="Warning">It is farther than the bar, though not far off.</param>
/// <param name="Failure">It is far off: the file is wrong.</param>
public sealed record Verification(
    Comparison Base,
    Comparison Exported,
    Comparison? Stored,
    string? Warning,
    string? Failure
)
{
    // llama.cpp rounds activations to 8 bits before a quantized product, so base and exported file differ alike.
    private const double KlRatio = 1.3;

    // A wrong scale, order or tensor is off by orders of magnitude; training that sharpens predictions is not.
    private const double FarRatio = 4;

    /// <summary>Mean KL that two f32 implementations of one function stay below.</summary>
    internal const double ExactKl = 1e-5;

    // Products with f16 or bf16 weights round activations to that type.
    private const double HalfKl = 1e-3;
    private const double QuantizedKl = 1e-2;

    // Counts this small are chance: the text is short.
    private const int ChanceSwaps = 3;

    // Of positions, where the base is stored more exactly and its own swaps say nothing.
    private const double SwapShare = 0.1;

    /// <param name="baseNoise">llama.cpp against native on the base.</param>
    /// <param name="exported">The same on the new file.</param>
    /// <param name="stored">For a merged file.</param>
    /// <param name="basePrecision">Of the base's weights.</param>
    /// <param name="precision">Of the weights that <paramref name="exported"/> ran with.</param>
    internal static Verification Judge(
        Comparison baseNoise,
        Comparison exported,
        Comparison? stored,
        WeightPrecision basePrecision,
        WeightPrecision precision
    )
    {
        var floor = precision switch
        {
            WeightPrecision.Exact => ExactKl,
            WeightPrecision.Half => HalfKl,
            _ => QuantizedKl,
        };
        var found = exported.Distance;
        var isExact = precision == WeightPrecision.Exact;
        // An f32 file has no noise of its own to allow for; another kind of base has another noise.
        var isComparable = !isExact && basePrecision == precision;
        var klBar = isComparable ? Math.Max(KlRatio * baseNoise.Distance.MeanKl, floor) : floor;
        var swaps = isExact ? found.ArgmaxDiffersClearly : found.ArgmaxDiffers;
        var x = baseNoise.Distance.ArgmaxDiffers;
        var swapBar =
            isExact ? 0
            : isComparable ? KlRatio * x + 2 * Math.Sqrt(x) + ChanceSwaps
            : SwapShare * found.Positions;
        string? text = null;
        // Negated, so that NaN fails.
        if (!(found.MeanKl <= klBar) || !(swaps <= swapBar))
        {
            text =
                $"{exported.What}: expected a mean KL of at most {klBar:g3} and {swapBar:0} other top tokens, "
                + $"found {found.MeanKl:g3} and {swaps} of {found.Positions}";
        }
        var isFar = !(found.MeanKl <= FarRatio * klBar) || !(swaps <= FarRatio * swapBar + ChanceSwaps);
        return new Verification(baseNoise, exported, stored, isFar ? null : text, isFar ? text : null);
    }
}

/// <summary>How exactly llama.cpp computes with a file's weights.</summary>
internal enum WeightPrecision
{
    Exact,
    Half,
    Quantized,
}
