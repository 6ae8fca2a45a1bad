using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.Interop;

namespace Slimming.Models;

/// <summary>Looks through all weights of a file for values that are not finite: one of them spoils every logit.</summary>
internal static class WeightCheck
{
    // Values of one piece of work: it and its unpacked copy stay in a core's cache.
    private const int PieceValues = 1 << 17;

    private readonly record struct Piece(GgufTensor Tensor, long FirstRow, int Rows);

    /// <param name="file">A model; tensors of kinds that hold no weights are left alone.</param>
    /// <param name="threads">At most that many pieces at once.</param>
    /// <param name="token">Looked at between pieces.</param>
    /// <exception cref="GgufException">Names the first value that is not finite.</exception>
    public static void RequireFinite(GgufFile file, int threads, CancellationToken token = default)
    {
        Piece[] pieces = [.. file.Tensors.Where(t => ModelConfig.IsWeightType(t.Type)).SelectMany(Cut)];
        var faults = new GgufException?[pieces.Length];
        ParallelOptions options = new() { MaxDegreeOfParallelism = Math.Max(1, threads), CancellationToken = token };
        Parallel.For(
            0,
            pieces.Length,
            options,
            (index, state) =>
            {
                faults[index] = Check(file, pieces[index]);
                if (faults[index] != null)
                {
                    // Lower pieces are still looked at: the same file gives the same message.
                    state.Break();
                }
            }
        );
        if (Array.Find(faults, fault => fault != null) is { } first)
        {
            throw first;
        }
    }

    private static IEnumerable<Piece> Cut(GgufTensor tensor)
    {
        var rows = (int)Math.Max(1, PieceValues / tensor.RowLength);
        for (long row = 0; row < tensor.RowCount; row += rows)
        {
            yield return new Piece(tensor, row, (int)Math.Min(rows, tensor.RowCount - row));
        }
    }

    private static GgufException? Check(GgufFile file, Piece piece)
    {
        var (tensor, firstRow, rows) = piece;
        var rowBytes = GgmlTypes.RowBytes(tensor.Type, tensor.RowLength);
        var bytes = file.Slice(tensor, firstRow * rowBytes, rows * rowBytes);
        var count = checked((int)(rows * tensor.RowLength));
        if (tensor.Type == GgmlType.F32)
        {
            return Find(file, piece, MemoryMarshal.Cast<byte, float>(bytes));
        }
        var values = ArrayPool<float>.Shared.Rent(count);
        try
        {
            NativeRuntime.Dequantize(tensor.Type, bytes, values.AsSpan(0, count));
            return Find(file, piece, values.AsSpan(0, count));
        }
        finally
        {
            ArrayPool<float>.Shared.Return(values);
        }
    }

    private static GgufException? Find(GgufFile file, Piece piece, ReadOnlySpan<float> values)
    {
        if (AllFinite(values))
        {
            return null;
        }
        var at = 0;
        while (float.IsFinite(values[at]))
        {
            at++;
        }
        var row = piece.FirstRow + at / piece.Tensor.RowLength;
        return new GgufException(
            file.Path,
            $"tensor '{piece.Tensor.Name}', row {row}, value {at % piece.Tensor.RowLength}",
            "a finite number",
            $"{values[at]}; is the file damaged?"
        );
    }

    private static bool AllFinite(ReadOnlySpan<float> values)
    {
        var vectors = MemoryMarshal.Cast<float, Vector<float>>(values);
        Vector<float> largest = new(float.MaxValue);
        foreach (var vector in vectors)
        {
            // False for NaN too.
            if (!Vector.LessThanOrEqualAll(Vector.Abs(vector), largest))
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
