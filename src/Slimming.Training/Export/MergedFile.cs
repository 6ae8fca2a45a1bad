using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Models;

namespace Slimming.Training.Export;

/// <summary>What goes into a merged file.</summary>
/// <param name="Model">The base.</param>
/// <param name="Metadata">See <see cref="MergedFile.Metadata"/>.</param>
/// <param name="Plans">One per tensor of the base, in its order.</param>
/// <param name="Weights">Where adapted tensors come from.</param>
/// <param name="Importance">For the types that use one.</param>
internal sealed record MergedContent(
    GgufFile Model,
    GgufMetadata Metadata,
    IReadOnlyList<TensorPlan> Plans,
    IWeightSource Weights,
    ImportanceMatrix? Importance = null
);

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
    /// <param name="content">All that goes into it.</param>
    /// <param name="overwrite">Replace an existing file.</param>
    /// <param name="progress">Tensors done.</param>
    /// <param name="token">Looked at between tensors; nothing stays of the file then.</param>
    public static void Write(
        string path,
        MergedContent content,
        bool overwrite,
        Action<int> progress,
        CancellationToken token
    )
    {
        var (model, metadata, plans, weights, _) = content;
        using var writer = new GgufWriter(path, metadata, overwrite, model.Version);
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
                Convert(writer, content, plans[i]);
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

    /// <summary>The base's metadata, byte for byte but for what the new file changes.</summary>
    /// <param name="model">The base.</param>
    /// <param name="type">Of all weights; null where each keeps its own.</param>
    /// <param name="importance">Recorded under the keys of llama-quantize; the path's folder is not.</param>
    /// <param name="template">A chat template to carry in place of the base's.</param>
    public static GgufMetadata Metadata(
        GgufFile model,
        GgmlType? type,
        ImportanceMatrix? importance = null,
        string? template = null
    )
    {
        var metadata = model.Metadata.Clone();
        if (type is { } all)
        {
            metadata.Set(FileTypeKey, GgufValue.Of(TypePlan.FileType(all)));
            if (GgmlTypes.BlockValues(all) > 1)
            {
                metadata.Set(QuantizationVersionKey, GgufValue.Of(QuantizationVersion));
            }
        }
        if (importance != null)
        {
            metadata.Set("quantize.imatrix.file", GgufValue.Of(Path.GetFileName(importance.Path)));
            metadata.Set("quantize.imatrix.entries_count", GgufValue.Of((uint)importance.Count));
            if (importance.Datasets is [var dataset, ..])
            {
                metadata.Set("quantize.imatrix.dataset", GgufValue.Of(dataset));
            }
            if (importance.Chunks is >= 0 and <= uint.MaxValue and var chunks)
            {
                metadata.Set("quantize.imatrix.chunks_count", GgufValue.Of((uint)chunks));
            }
        }
        if (template != null)
        {
            metadata.Set(Tokenizer.TemplateKey, GgufValue.Of(template));
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

    private static void Convert(GgufWriter writer, MergedContent content, TensorPlan plan)
    {
        var source = plan.Source;
        var importance = content.Importance?.Of(source.Name);
        var rowsAtOnce = (int)Math.Max(1, ChunkValues / source.RowLength);
        float[]? whole = null;
        if (plan.IsAdapted)
        {
            whole = new float[source.ValueCount];
            content.Weights.Read(source, whole);
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
                    outputs[piece] = count <= 0 ? [] : Quantize(content.Model, plan, importance, whole, first, count);
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
        float[]? importance,
        float[]? whole,
        long firstRow,
        int rows
    )
    {
        var source = plan.Source;
        var rowLength = checked((int)source.RowLength);
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
        RequireWritable(plan, values, firstRow);
        if (plan.Type == GgmlType.F32)
        {
            return MemoryMarshal.AsBytes(values).ToArray();
        }
        var output = new byte[rows * GgmlTypes.RowBytes(plan.Type, rowLength)];
        Quantizer.Quantize(plan.Type, values, rowLength, output, importance);
        return output;
    }

    private static void RequireWritable(TensorPlan plan, ReadOnlySpan<float> values, long firstRow)
    {
        var limit = Quantizer.LargestValue(plan.Type);
        for (var i = 0; i < values.Length; i++)
        {
            // Negated, so that NaN fails.
            if (!(Math.Abs(values[i]) <= limit))
            {
                var row = firstRow + i / plan.Source.RowLength;
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"tensor '{plan.Source.Name}', row {row}, value {i % plan.Source.RowLength}: expected a number that "
                        + $"{GgmlTypes.Name(plan.Type)} can hold, found {values[i]}"
                );
            }
        }
    }
}
