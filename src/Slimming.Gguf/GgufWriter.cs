using System.Buffers.Binary;
using Slimming.Shared;

namespace Slimming.Gguf;

/// <summary>
/// Writes a GGUF file in one pass: metadata and tensor table first, then the data of each tensor in the table's order.
/// Everything goes to "<c>path</c>.partial", which <see cref="Complete"/> flushes to the disk and renames; without it
/// nothing stays.
/// </summary>
public sealed class GgufWriter : IDisposable
{
    private sealed record Entry(string Name, GgmlType Type, long[] Shape, long ByteCount, long Offset);

    private const int BufferBytes = 1 << 20;

    private readonly string _path;
    private readonly string _partial;
    private readonly bool _overwrite;
    private readonly uint _version;
    private readonly GgufMetadata _metadata;
    private readonly long _alignment;
    private readonly List<Entry> _tensors = [];
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private FileStream? _stream;
    private long _dataBytes;
    private int _current;
    private long _writtenOfCurrent;

    /// <summary>Nothing is created before the first data.</summary>
    /// <param name="path">The file to make.</param>
    /// <param name="metadata">Written as it is; <c>general.alignment</c> in it is obeyed.</param>
    /// <param name="overwrite">Without it an existing file is refused.</param>
    /// <param name="version">2 or 3; both have the same layout.</param>
    public GgufWriter(string path, GgufMetadata metadata, bool overwrite = false, uint version = 3)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(version is 2 or 3, true, nameof(version));
        _path = path;
        _partial = path + ".partial";
        _overwrite = overwrite;
        _version = version;
        _metadata = metadata;
        _alignment = metadata.GetInteger("general.alignment", 32);
        RefuseExisting();
    }

    /// <summary>Bytes of the finished file, once all tensors are named.</summary>
    public long FileBytes => Align(Header().Length) + _dataBytes;

    /// <summary>Names the next tensor; all come before the first data.</summary>
    /// <param name="name">Unique in the file.</param>
    /// <param name="type">Its ggml type; for an unknown number <paramref name="byteCount"/> is needed.</param>
    /// <param name="shape">ne order.</param>
    /// <param name="byteCount">Bytes of the data; computed from the shape when absent.</param>
    public void AddTensor(string name, GgmlType type, IReadOnlyList<long> shape, long? byteCount = null)
    {
        if (_stream != null)
        {
            throw new InvalidOperationException("tensors are named before the first data");
        }
        if (!_names.Add(name))
        {
            throw new GgufException(_path, $"tensor '{name}'", "every tensor once", "it a second time");
        }
        var row = shape.Count > 0 ? shape[0] : 1;
        var rows = shape.Skip(1).Aggregate(1L, (product, ne) => checked(product * ne));
        var bytes = byteCount ?? checked(GgmlTypes.RowBytes(type, row) * rows);
        _tensors.Add(new Entry(name, type, [.. shape], bytes, _dataBytes));
        _dataBytes += Align(bytes);
    }

    /// <summary>Appends bytes to the data of <paramref name="name"/>, which must be the tensor whose turn it is.</summary>
    public void Write(string name, ReadOnlySpan<byte> bytes)
    {
        Begin();
        if (_current >= _tensors.Count || _tensors[_current].Name != name)
        {
            throw new InvalidOperationException($"the data of '{name}' came out of turn");
        }
        var entry = _tensors[_current];
        if (bytes.Length > entry.ByteCount - _writtenOfCurrent)
        {
            throw new InvalidOperationException(
                $"tensor '{name}' takes {entry.ByteCount} bytes, {_writtenOfCurrent + bytes.Length} were given"
            );
        }
        Guard(bytes, static (stream, data) => stream.Write(data));
        _writtenOfCurrent += bytes.Length;
        if (_writtenOfCurrent == entry.ByteCount)
        {
            Pad(entry.ByteCount);
            _current++;
            _writtenOfCurrent = 0;
            SkipEmpty();
        }
    }

    /// <summary>Flushes to the disk and gives the file its name. All data must have been written.</summary>
    public void Complete()
    {
        Begin();
        if (_current != _tensors.Count)
        {
            throw new InvalidOperationException($"the data of '{_tensors[_current].Name}' is missing");
        }
        RefuseExisting();
        Guard([], static (stream, _) => stream.Flush(flushToDisk: true));
        _stream!.Dispose();
        _stream = null;
        try
        {
            Durable.Rename(_partial, _path, _overwrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            DeletePartial();
            throw CannotWrite(e);
        }
    }

    public void Dispose()
    {
        if (_stream == null)
        {
            return;
        }
        try
        {
            _stream.Dispose();
        }
        catch (IOException)
        {
            // A full disk fails again on the last buffer; the file is deleted in any case.
        }
        _stream = null;
        DeletePartial();
    }

    private void Begin()
    {
        if (_stream != null)
        {
            return;
        }
        var header = Header();
        try
        {
            _stream = new FileStream(_partial, FileMode.Create, FileAccess.Write, FileShare.None, BufferBytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CannotWrite(e);
        }
        Guard(header, static (stream, data) => stream.Write(data));
        Pad(header.Length);
        SkipEmpty();
    }

    private void SkipEmpty()
    {
        while (_current < _tensors.Count && _tensors[_current].ByteCount == 0)
        {
            _current++;
        }
    }

    private byte[] Header()
    {
        var bytes = new MemoryStream();
        PutUInt32(bytes, 0x46554747);
        PutUInt32(bytes, _version);
        PutUInt64(bytes, (ulong)_tensors.Count);
        PutUInt64(bytes, (ulong)_metadata.Count);
        foreach (var (key, value) in _metadata)
        {
            PutString(bytes, key);
            PutUInt32(bytes, (uint)value.Type);
            bytes.Write(value.Raw.Span);
        }
        foreach (var tensor in _tensors)
        {
            PutString(bytes, tensor.Name);
            PutUInt32(bytes, (uint)tensor.Shape.Length);
            foreach (var ne in tensor.Shape)
            {
                PutUInt64(bytes, (ulong)ne);
            }
            PutUInt32(bytes, (uint)tensor.Type);
            PutUInt64(bytes, (ulong)tensor.Offset);
        }
        return bytes.ToArray();
    }

    private delegate void StreamAction(FileStream stream, ReadOnlySpan<byte> data);

    private void Guard(ReadOnlySpan<byte> data, StreamAction action)
    {
        try
        {
            action(_stream!, data);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CannotWrite(e);
        }
    }

    private void Pad(long bytes)
    {
        var zeros = new byte[Align(bytes) - bytes];
        Guard(zeros, static (stream, data) => stream.Write(data));
    }

    private void RefuseExisting()
    {
        if (!_overwrite && Path.Exists(_path))
        {
            throw new SlimmingException(ExitCode.Refused, $"{_path}: exists already; use --force to replace it");
        }
    }

    private SlimmingException CannotWrite(Exception e) =>
        new(ExitCode.Failed, $"{_path}: cannot write the file: {e.Message}", e);

    private void DeletePartial()
    {
        if (File.Exists(_partial))
        {
            File.Delete(_partial);
        }
    }

    private long Align(long bytes) => (bytes + _alignment - 1) / _alignment * _alignment;

    private static void PutString(MemoryStream bytes, string text)
    {
        var utf8 = GgufValue.Utf8.GetBytes(text);
        PutUInt64(bytes, (ulong)utf8.Length);
        bytes.Write(utf8);
    }

    private static void PutUInt32(MemoryStream bytes, uint value)
    {
        Span<byte> raw = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(raw, value);
        bytes.Write(raw);
    }

    private static void PutUInt64(MemoryStream bytes, ulong value)
    {
        Span<byte> raw = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(raw, value);
        bytes.Write(raw);
    }
}
