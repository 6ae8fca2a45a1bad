using System.IO.MemoryMappedFiles;
using Slimming.Shared;

namespace Slimming.Gguf;

/// <summary>One mapped file: all of a model or one part of a split one.</summary>
internal sealed unsafe class GgufPart : IDisposable
{
    private readonly FileStamp _stamp;
    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _base;

    private GgufPart(FileStamp stamp, MemoryMappedFile mapping, MemoryMappedViewAccessor view, byte* start)
    {
        Path = stamp.Path;
        _stamp = stamp;
        _mapping = mapping;
        _view = view;
        _base = start;
        Length = stamp.Length;
        Header = GgufHeaderReader.Read(Path, start, Length);
    }

    public string Path { get; }

    public long Length { get; }

    public GgufHeaderReader.Header Header { get; }

    /// <exception cref="GgufException">The file is absent, unreadable or not a sound GGUF file.</exception>
    public static GgufPart Open(string path)
    {
        FileStamp? stamp = null;
        MemoryMappedFile? mapping = null;
        MemoryMappedViewAccessor? view = null;
        var acquired = false;
        try
        {
            RefuseNonFiles(path);
            stamp = FileStamp.Open(path);
            RefuseShort(path, stamp.Length);
            mapping = stamp.Map();
            view = mapping.CreateViewAccessor(0, stamp.Length, MemoryMappedFileAccess.Read);
            byte* start = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            acquired = true;
            return new GgufPart(stamp, mapping, view, start + view.PointerOffset);
        }
        catch (Exception e)
        {
            if (acquired)
            {
                view!.SafeMemoryMappedViewHandle.ReleasePointer();
            }
            view?.Dispose();
            mapping?.Dispose();
            stamp?.Dispose();
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

    /// <inheritdoc cref="GgufFile.CheckUnchanged"/>
    public void CheckUnchanged() => _stamp.Check();

    public void Dispose()
    {
        if (_base != null)
        {
            _base = null;
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _mapping.Dispose();
            _stamp.Dispose();
        }
    }

    private static void RefuseNonFiles(string path)
    {
        if (Directory.Exists(path))
        {
            throw new GgufException(path, "open", "a file", "a folder");
        }
        if (!File.Exists(path))
        {
            throw new GgufException(path, "open", "no such file");
        }
        RegularFile.Require(path);
    }

    private static void RefuseShort(string path, long length)
    {
        if (length < GgufHeaderReader.MinBytes)
        {
            throw new GgufException(
                path,
                "byte 0",
                $"a GGUF file of at least {GgufHeaderReader.MinBytes} bytes",
                $"{length} bytes"
            );
        }
    }
}
