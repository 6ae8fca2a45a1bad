namespace Slimming.Gguf;

/// <summary>
/// A memory-mapped GGUF model or adapter, version 2 or 3, little endian, in one file or in parts. Everything the headers
/// say is checked against the files' sizes when it is opened; later access cannot leave the mappings.
/// </summary>
public sealed unsafe class GgufFile : IDisposable
{
    private readonly List<GgufPart> _parts;
    private readonly Dictionary<string, (GgufTensor Tensor, GgufPart Part)> _byName;

    private GgufFile(GgufPart first, List<GgufPart> others)
    {
        _parts = [first, .. others];
        var header = first.Header;
        Path = first.Path;
        Version = header.Version;
        Alignment = header.Alignment;
        Metadata = header.Metadata;
        if (others.Count > 0)
        {
            // What is written from here is one file again.
            Metadata = Metadata.Clone();
            Metadata.Remove(GgufSplit.NumberKey);
            Metadata.Remove(GgufSplit.CountKey);
            Metadata.Remove(GgufSplit.TensorsKey);
        }
        Tensors = [.. _parts.SelectMany(p => p.Header.Tensors)];
        DataOffset = header.DataOffset;
        Length = _parts.Sum(p => p.Length);
        _byName = _parts
            .SelectMany(p => p.Header.Tensors.Select(t => (Tensor: t, Part: p)))
            .ToDictionary(t => t.Tensor.Name, StringComparer.Ordinal);
    }

    /// <summary>The file, of a split model the first.</summary>
    public string Path { get; }

    /// <summary>All files in their order.</summary>
    public IReadOnlyList<string> Parts => [.. _parts.Select(p => p.Path)];

    public uint Version { get; }

    /// <summary>Bytes that tensor offsets are multiples of.</summary>
    public uint Alignment { get; }

    /// <summary>Without the keys of a split, where there is one.</summary>
    public GgufMetadata Metadata { get; }

    /// <summary>In the order of the files' tensor tables.</summary>
    public IReadOnlyList<GgufTensor> Tensors { get; }

    /// <summary>File offset of the (first) file's data section.</summary>
    public long DataOffset { get; }

    /// <summary>Bytes of all files.</summary>
    public long Length { get; }

    /// <summary>Opens and checks a file, and with the first part of a split model all others.</summary>
    /// <exception cref="GgufException">The file is absent, unreadable or not a sound GGUF file, or a part of it is.</exception>
    public static GgufFile Open(string path)
    {
        var first = GgufPart.Open(path);
        List<GgufPart>? others = null;
        try
        {
            others = GgufSplit.OpenOthers(first);
            return new GgufFile(first, others);
        }
        catch
        {
            others?.ForEach(o => o.Dispose());
            first.Dispose();
            throw;
        }
    }

    public GgufTensor? Find(string name) => _byName.TryGetValue(name, out var found) ? found.Tensor : null;

    /// <summary>The tensor's bytes; for those of 2 GiB and more use <see cref="Slice"/>.</summary>
    public ReadOnlySpan<byte> Data(GgufTensor tensor) => Slice(tensor, 0, tensor.ByteCount);

    /// <summary>The values of an F32 tensor, up to 2^31 - 1 of them.</summary>
    public ReadOnlySpan<float> Floats(GgufTensor tensor)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(tensor.Type, GgmlType.F32, nameof(tensor));
        return new ReadOnlySpan<float>(Pointer(tensor), checked((int)tensor.ValueCount));
    }

    /// <summary><paramref name="count"/> bytes of the tensor from byte <paramref name="offset"/>.</summary>
    public ReadOnlySpan<byte> Slice(GgufTensor tensor, long offset, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, tensor.ByteCount - offset);
        return new ReadOnlySpan<byte>(Pointer(tensor) + offset, checked((int)count));
    }

    /// <summary>Start of the tensor's bytes, valid until <see cref="Dispose"/>.</summary>
    public byte* Pointer(GgufTensor tensor) =>
        _byName.TryGetValue(tensor.Name, out var found) && ReferenceEquals(found.Tensor, tensor)
            ? found.Part.Pointer(tensor)
            : throw new ArgumentException($"tensor '{tensor.Name}' is not of {Path}", nameof(tensor));

    /// <summary>To be asked after its data was used and before what came of it is: a mapping shows what others write.</summary>
    /// <exception cref="SlimmingException">Exit code 1: a file was written to since it was opened.</exception>
    public void CheckUnchanged() => _parts.ForEach(p => p.CheckUnchanged());

    public void Dispose() => _parts.ForEach(p => p.Dispose());
}
