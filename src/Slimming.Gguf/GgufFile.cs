using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace Slimming.Gguf;

/// <summary>
/// A memory-mapped GGUF file, version 2 or 3, little endian. Everything the header says is checked against the file's
/// size when it is opened; later access cannot leave the mapping.
/// </summary>
public sealed unsafe class GgufFile : IDisposable
{
    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewAccessor _view;
    private readonly Dictionary<string, GgufTensor> _byName;
    private byte* _base;

    private GgufFile(string path, MemoryMappedFile mapping, MemoryMappedViewAccessor view, byte* start, long length)
    {
        Path = path;
        _mapping = mapping;
        _view = view;
        _base = start;
        Length = length;
        var header = GgufHeaderReader.Read(path, start, length);
        Version = header.Version;
        Alignment = header.Alignment;
        Metadata = header.Metadata;
        Tensors = header.Tensors;
        DataOffset = header.DataOffset;
        _byName = Tensors.ToDictionary(t => t.Name, StringComparer.Ordinal);
    }

    public string Path { get; }

    public uint Version { get; }

    /// <summary>Bytes that tensor offsets are multiples of.</summary>
    public uint Alignment { get; }

    public GgufMetadata Metadata { get; }

    /// <summary>In the order of the file's tensor table.</summary>
    public IReadOnlyList<GgufTensor> Tensors { get; }

    /// <summary>File offset of the data section.</summary>
    public long DataOffset { get; }

    /// <summary>Bytes of the file.</summary>
    public long Length { get; }

    /// <summary>Opens and checks a file.</summary>
    /// <exception cref="GgufException">The file is absent, unreadable or not a sound GGUF file.</exception>
    public static GgufFile Open(string path)
    {
        MemoryMappedFile? mapping = null;
        MemoryMappedViewAccessor? view = null;
        var acquired = false;
        try
        {
            var length = CheckedLength(path);
            mapping = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
            view = mapping.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            byte* start = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            acquired = true;
            return new GgufFile(path, mapping, view, start + view.PointerOffset, length);
        }
        catch (Exception e)
        {
            if (acquired)
            {
                view!.SafeMemoryMappedViewHandle.ReleasePointer();
            }
            view?.Dispose();
            mapping?.Dispose();
            if (e is IOException or UnauthorizedAccessException)
            {
                throw new GgufException(path, "open", $"cannot read the file: {e.Message}");
            }
            throw;
        }
    }

    public GgufTensor? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>The tensor's bytes; for those of 2 GiB and more use <see cref="Slice"/>.</summary>
    public ReadOnlySpan<byte> Data(GgufTensor tensor) => Slice(tensor, 0, tensor.ByteCount);

    /// <summary><paramref name="count"/> bytes of the tensor from byte <paramref name="offset"/>.</summary>
    public ReadOnlySpan<byte> Slice(GgufTensor tensor, long offset, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, tensor.ByteCount - offset);
        return new ReadOnlySpan<byte>(Pointer(tensor) + offset, checked((int)count));
    }

    /// <summary>Start of the tensor's bytes, valid until <see cref="Dispose"/>.</summary>
    public byte* Pointer(GgufTensor tensor)
    {
        ObjectDisposedException.ThrowIf(_base == null, this);
        if (!ReferenceEquals(Find(tensor.Name), tensor))
        {
            throw new ArgumentException($"tensor '{tensor.Name}' is not of {Path}", nameof(tensor));
        }
        return _base + DataOffset + (long)tensor.Offset;
    }

    public void Dispose()
    {
        if (_base != null)
        {
            _base = null;
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _mapping.Dispose();
        }
    }

    private static long CheckedLength(string path)
    {
        if (Directory.Exists(path))
        {
            throw new GgufException(path, "open", "a file", "a folder");
        }
        if (!File.Exists(path))
        {
            throw new GgufException(path, "open", "no such file");
        }
        using SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        var length = RandomAccess.GetLength(handle);
        return length >= GgufHeaderReader.MinBytes
            ? length
            : throw new GgufException(
                path,
                "byte 0",
                $"a GGUF file of at least {GgufHeaderReader.MinBytes} bytes",
                $"{length} bytes"
            );
    }
}
