using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;

namespace Slimming.Training.Export;

/// <summary>Writes a model file tensor by tensor: changed ones are computed in f32 and quantized by libggml, all others copied.</summary>
internal static class MergedFile
{
    private const string FileTypeKey = "general.file_type";
    private const string QuantizationVersionKey = "general.quantization_version";

    // Of the block formats that libggml writes.
    private const uint QuantizationVersion = 2;

    // Values that are quantized at once: large enough for all cores, small beside a model.
    private const int ChunkValues = 1 << 20;

    /// <param name="path">The file to make.</param>
    /// <param name="model">The base: its metadata is copied byte for byte.</param>
    /// <param name="type">Null keeps every tensor's own type.</param>
    /// <param name="plans">One per tensor of the base, in its order.</param>
    /// <param name="weights">Where adapted tensors come from.</param>
    /// <param name="overwrite">Replace an existing file.</param>
    /// <param name="progress">Tensors done.</param>
    /// <param name="token">Looked at between tensors; nothing stays of the file then.</param>
    public static void Write(
        string path,
        GgufFile model,
        GgmlType? type,
        IReadOnlyList<TensorPlan> plans,
        IWeightSource weights,
        bool overwrite,
        Action<int> progress,
        CancellationToken token
    )
    {
        using var writer = new GgufWriter(path, Metadata(model, type), overwrite, model.Version);
        foreach (var plan in plans)
        {
            var source = plan.Source;
            writer.AddTensor(source.Name, plan.Type, source.Shape, plan.IsCopied ? source.ByteCount : null);
        }
        foreach (var added in weights.Added)
        {
            writer.AddTensor(added.Name, GgmlType.F32, [added.Values.Length]);
        }
        RequireSpace(path, writer.FileBytes);
        for (var i = 0; i < plans.Count; i++)
        {
            token.ThrowIfCancellationRequested();
            if (plans[i].IsCopied)
            {
                TensorCopy.Write(writer, model, plans[i].Source);
            }
            else
            {
                Convert(writer, model, plans[i], weights);
            }
            progress(i + 1);
        }
        foreach (var added in weights.Added)
        {
            writer.Write(added.Name, MemoryMarshal.AsBytes<float>(added.Values));
        }
        model.CheckUnchanged();
        MappedFiles.Check();
        writer.Complete();
    }

    private static GgufMetadata Metadata(GgufFile model, GgmlType? type)
    {
        if (type is not { } all)
        {
            return model.Metadata;
        }
        var metadata = model.Metadata.Clone();
        metadata.Set(FileTypeKey, GgufValue.Of(TypePlan.FileType(all)));
        if (GgmlTypes.BlockValues(all) > 1)
        {
            metadata.Set(QuantizationVersionKey, GgufValue.Of(QuantizationVersion));
        }
        return metadata;
    }

    /// <summary>Better to be told before an hour of quantizing than after it.</summary>
    private static void RequireSpace(string path, long bytes)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        if (!Directory.Exists(folder))
        {
            throw new SlimmingException(ExitCode.Failed, $"{path}: the folder {folder} does not exist");
        }
        var free = new DriveInfo(folder).AvailableFreeSpace;
        if (free < bytes)
        {
            throw new SlimmingException(
                ExitCode.Refused,
                $"{path}: expected {bytes} bytes of free space for the file, found {free}"
            );
        }
    }

    private static void Convert(GgufWriter writer, GgufFile model, TensorPlan plan, IWeightSource weights)
    {
        var source = plan.Source;
        var rowLength = checked((int)source.RowLength);
        var rowBytes = GgmlTypes.RowBytes(plan.Type, rowLength);
        var rowsAtOnce = Math.Max(1, ChunkValues / rowLength);
        float[]? whole = null;
        if (plan.IsAdapted)
        {
            whole = new float[source.ValueCount];
            weights.Read(source, whole);
        }
        // Pieces of one round are quantized side by side and written in order.
        var pieces = Environment.ProcessorCount;
        for (long row = 0; row < source.RowCount; row += (long)rowsAtOnce * pieces)
        {
            var outputs = new byte[pieces][];
            Parallel(
                pieces,
                piece =>
                {
                    var first = row + (long)piece * rowsAtOnce;
                    var count = (int)Math.Min(rowsAtOnce, source.RowCount - first);
                    outputs[piece] =
                        count <= 0 ? [] : Quantize(model, plan, whole, first, count, checked((int)(count * rowBytes)));
                }
            );
            foreach (var output in outputs.Where(o => o.Length > 0))
            {
                writer.Write(source.Name, output);
            }
        }
    }

    /// <summary>As Parallel.For, but an error comes out as itself.</summary>
    private static void Parallel(int pieces, Action<int> run)
    {
        try
        {
            System.Threading.Tasks.Parallel.For(0, pieces, run);
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerException!);
        }
    }

    private static byte[] Quantize(
        GgufFile model,
        TensorPlan plan,
        float[]? whole,
        long firstRow,
        int rows,
        int outputBytes
    )
    {
        var source = plan.Source;
        var rowLength = (int)source.RowLength;
        ReadOnlySpan<float> values;
        if (whole != null)
        {
            values = whole.AsSpan(checked((int)(firstRow * rowLength)), rows * rowLength);
        }
        else
        {
            var sourceRow = GgmlTypes.RowBytes(source.Type, rowLength);
            var unpacked = new float[rows * rowLength];
            NativeRuntime.Dequantize(
                source.Type,
                model.Slice(source, firstRow * sourceRow, rows * sourceRow),
                unpacked
            );
            values = unpacked;
        }
        RequireFinite(source, values, firstRow);
        if (plan.Type == GgmlType.F32)
        {
            return MemoryMarshal.AsBytes(values).ToArray();
        }
        var output = new byte[outputBytes];
        Quantizer.Quantize(plan.Type, values, rowLength, output);
        return output;
    }

    private static void RequireFinite(GgufTensor tensor, ReadOnlySpan<float> values, long firstRow)
    {
        for (var i = 0; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
            {
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"tensor '{tensor.Name}', row {firstRow + i / tensor.RowLength}, value {i % tensor.RowLength}: expected a finite number, found {values[i]}"
                );
            }
        }
    }
}
