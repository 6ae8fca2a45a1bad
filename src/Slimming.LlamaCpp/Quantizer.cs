using Slimming.Gguf;
using Slimming.LlamaCpp.Interop;

namespace Slimming.LlamaCpp;

/// <summary>Quantizes rows with libggml, so that exported blocks are the very ones llama.cpp would write.</summary>
public static unsafe class Quantizer
{
    /// <summary>Types that libggml writes with or without an importance matrix.</summary>
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
    ];

    public static bool Supports(GgmlType type) => Array.IndexOf(Supported, type) >= 0;

    /// <summary>Quantizes whole rows.</summary>
    /// <param name="type">Target type.</param>
    /// <param name="rows">(n_rows, <paramref name="nPerRow"/>) row by row.</param>
    /// <param name="nPerRow">Values in a row, a multiple of the type's block.</param>
    /// <param name="dst">Exactly n_rows x row bytes of the type.</param>
    /// <param name="imatrix">Importance of each column, <paramref name="nPerRow"/> values, or empty.</param>
    /// <exception cref="ArgumentException">Sizes do not fit together, or a value is not finite.</exception>
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
        var nRows = rows.Length / nPerRow;
        var bytes = (long)LlamaRowBytes(type, nPerRow) * nRows;
        if (dst.Length != bytes)
        {
            throw new ArgumentException($"destination has {dst.Length} bytes, expected {bytes}", nameof(dst));
        }
        // ggml's quantizers search over scales and give undefined blocks for NaN or infinity.
        for (var i = 0; i < rows.Length; i++)
        {
            if (!float.IsFinite(rows[i]))
            {
                throw new ArgumentException(
                    $"value {i % nPerRow} of row {i / nPerRow} is {rows[i]}, which has no quantized form",
                    nameof(rows)
                );
            }
        }
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

    private static nuint LlamaRowBytes(GgmlType type, int nPerRow) =>
        GgmlNative.ggml_row_size((ggml_type)type, nPerRow);
}
