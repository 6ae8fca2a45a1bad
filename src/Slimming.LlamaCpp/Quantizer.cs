using Slimming.Gguf;
using Slimming.LlamaCpp.Interop;

namespace Slimming.LlamaCpp;

/// <summary>Quantizes rows with libggml, so that exported blocks are the very ones llama.cpp would write.</summary>
public static unsafe class Quantizer
{
    // Scales of blocks are f16, or sums that square the values: larger ones end as infinity, and some of libggml's
    // searches then end the process.
    private const float LargestBlockValue = 65504;
    private const double LargestProduct = 1e30;

    /// <summary>Types that libggml writes.</summary>
    private static readonly GgmlType[] Supported =
    [
        GgmlType.F32,
        GgmlType.F16,
        GgmlType.BF16,
        GgmlType.Q4_0,
        GgmlType.Q4_1,
        GgmlType.Q5_0,
        GgmlType.Q5_1,
        GgmlType.Q8_0,
        GgmlType.Q2_K,
        GgmlType.Q3_K,
        GgmlType.Q4_K,
        GgmlType.Q5_K,
        GgmlType.Q6_K,
        GgmlType.IQ4_NL,
        GgmlType.IQ4_XS,
        GgmlType.IQ3_S,
        GgmlType.IQ3_XXS,
        GgmlType.IQ2_S,
        GgmlType.IQ2_XS,
        GgmlType.IQ2_XXS,
        GgmlType.IQ1_M,
        GgmlType.IQ1_S,
        GgmlType.TQ1_0,
        GgmlType.TQ2_0,
        GgmlType.MXFP4,
        GgmlType.NVFP4,
    ];

    public static bool Supports(GgmlType type) => Array.IndexOf(Supported, type) >= 0;

    /// <summary>Largest magnitude of a value that rows of the type can hold.</summary>
    public static float LargestValue(GgmlType type) =>
        type is GgmlType.F32 or GgmlType.BF16 ? float.MaxValue : LargestBlockValue;

    /// <summary>The blocks differ with an importance matrix.</summary>
    public static bool UsesImportance(GgmlType type) =>
        Supports(type)
        && type
            is not (
                GgmlType.F32
                or GgmlType.F16
                or GgmlType.BF16
                or GgmlType.Q8_0
                or GgmlType.TQ1_0
                or GgmlType.TQ2_0
                or GgmlType.MXFP4
                or GgmlType.NVFP4
            );

    /// <summary>
    /// Without an importance matrix the blocks are useless (llama-quantize refuses it), or libggml ends the process.
    /// </summary>
    public static bool RequiresImportance(GgmlType type) =>
        type
            is GgmlType.IQ1_S
                or GgmlType.IQ1_M
                or GgmlType.IQ2_XXS
                or GgmlType.IQ2_XS
                or GgmlType.IQ2_S
                or GgmlType.IQ3_XXS;

    /// <summary>Quantizes whole rows.</summary>
    /// <param name="type">Target type.</param>
    /// <param name="rows">(n_rows, <paramref name="nPerRow"/>) row by row.</param>
    /// <param name="nPerRow">Values in a row, a multiple of the type's block.</param>
    /// <param name="dst">Exactly n_rows x row bytes of the type.</param>
    /// <param name="imatrix">Importance of each column, <paramref name="nPerRow"/> values from 0, or empty.</param>
    /// <exception cref="ArgumentException">
    /// Sizes do not fit together, a value is not finite or too large, or the type needs an importance matrix.
    /// </exception>
    /// <exception cref="SlimmingException">libggml cannot write the type, or wrote another number of bytes.</exception>
    public static void Quantize(
        GgmlType type,
        ReadOnlySpan<float> rows,
        int nPerRow,
        Span<byte> dst,
        ReadOnlySpan<float> imatrix = default
    )
    {
        if (!Supports(type))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"type {GgmlTypes.Name(type)} cannot be written; expected one of {string.Join(", ", Supported.Select(GgmlTypes.Name))}"
            );
        }
        LlamaRuntime.EnsureLoaded();
        var block = GgmlTypes.BlockValues(type);
        if (nPerRow <= 0 || nPerRow % block != 0)
        {
            throw new ArgumentException(
                $"rows of {nPerRow} values do not divide into {GgmlTypes.Name(type)} blocks of {block}",
                nameof(nPerRow)
            );
        }
        if (rows.Length % nPerRow != 0)
        {
            throw new ArgumentException($"{rows.Length} values are no whole number of rows of {nPerRow}", nameof(rows));
        }
        if (imatrix.Length != 0 && imatrix.Length != nPerRow)
        {
            throw new ArgumentException(
                $"importance matrix has {imatrix.Length} values, expected {nPerRow}",
                nameof(imatrix)
            );
        }
        if (imatrix.Length == 0 && RequiresImportance(type))
        {
            throw new ArgumentException($"type {GgmlTypes.Name(type)} needs an importance matrix", nameof(imatrix));
        }
        var nRows = rows.Length / nPerRow;
        var bytes = (long)LlamaRowBytes(type, nPerRow) * nRows;
        if (dst.Length != bytes)
        {
            throw new ArgumentException($"destination has {dst.Length} bytes, expected {bytes}", nameof(dst));
        }
        CheckValues(type, rows, nPerRow, imatrix);
        nuint written;
        fixed (float* source = rows)
        fixed (byte* target = dst)
        fixed (float* importance = imatrix)
        {
            written = GgmlNative.ggml_quantize_chunk((ggml_type)type, source, target, 0, nRows, nPerRow, importance);
        }
        if ((long)written != bytes)
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"ggml_quantize_chunk wrote {written} bytes of {GgmlTypes.Name(type)}, expected {bytes}"
            );
        }
    }

    /// <summary>ggml's quantizers search over scales and give undefined blocks for NaN or infinity.</summary>
    private static void CheckValues(GgmlType type, ReadOnlySpan<float> rows, int nPerRow, ReadOnlySpan<float> imatrix)
    {
        var limit = LargestValue(type);
        var largest = 0f;
        for (var i = 0; i < rows.Length; i++)
        {
            var size = Math.Abs(rows[i]);
            // Negated, so that NaN fails.
            if (!(size <= limit))
            {
                throw new ArgumentException(
                    $"value {i % nPerRow} of row {i / nPerRow} is {rows[i]}, which has no {GgmlTypes.Name(type)} form",
                    nameof(rows)
                );
            }
            largest = Math.Max(largest, size);
        }
        for (var i = 0; i < imatrix.Length; i++)
        {
            if (!(imatrix[i] >= 0) || !((double)imatrix[i] * largest * largest <= LargestProduct))
            {
                throw new ArgumentException(
                    $"importance {i} is {imatrix[i]}: expected a number from 0 whose product with squared weights is no overflow",
                    nameof(imatrix)
                );
            }
        }
    }

    private static nuint LlamaRowBytes(GgmlType type, int nPerRow) =>
        GgmlNative.ggml_row_size((ggml_type)type, nPerRow);
}
