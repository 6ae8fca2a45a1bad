using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace Slimming.Gguf;

/// <summary>One mapped file: all of a model or one part of a split one.</summary>
internal sealed unsafe class GgufPart : IDisposable
{
    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _base;

    private GgufPart(string path, MemoryMappedFile mapping, MemoryMappedViewAccessor view, byte* start, long length)
    {
        Path = path;
        _mapping = mapping;
        _view = view;
        _base = start;
        Length = length;
        Header = GgufHeaderReader.Read(path, start, length);
    }

    public string Path { get; }

    public long Length { get; }

    public GgufHeaderReader.Header Header { get; }

    /// <exception cref="GgufException">The file is absent, unreadable or not a sound GGUF file.</exception>
    public static GgufPart Open(string path)
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
            return new GgufPart(path, mapping, view, start + view.PointerOffset, length);
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

    /// <summary>Start of a tensor of this part.</summary>
    public byte* Pointer(GgufTensor tensor)
    {
        ObjectDisposedException.ThrowIf(_base == null, this);
        return _base + Header.DataOffset + (long)tensor.Offset;
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
