using System.Buffers.Binary;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Training.Export;

/// <summary>One tensor of a safetensors file.</summary>
/// <param name="Name">As in the header.</param>
/// <param name="Dtype">F32, F16 or BF16 here.</param>
/// <param name="Shape">Outermost dimension first.</param>
/// <param name="Begin">Byte within the data section.</param>
/// <param name="End">Byte after its last.</param>
internal sealed record SafeTensor(string Name, string Dtype, long[] Shape, long Begin, long End)
{
    public string ShapeText => $"[{string.Join(", ", Shape)}]";
}

/// <summary>
/// Reads a safetensors file: 8 bytes of header length, a JSON header, then the data. Untrusted: every length is checked
/// against the file's size before anything is allocated, and the tensors must cover the data without holes or overlaps.
/// </summary>
internal sealed class SafetensorsFile : IDisposable
{
    /// <summary>Some 30,000 tensors; an adapter of 100 layers has 1,400. Parsed, a header takes ten times its bytes.</summary>
    private const long MaxHeaderBytes = 4 << 20;

    private readonly SafeFileHandle _handle;
    private readonly Dictionary<string, SafeTensor> _tensors = new(StringComparer.Ordinal);
    private readonly long _dataOffset;

    private SafetensorsFile(string path, SafeFileHandle handle)
    {
        Path = path;
        _handle = handle;
        var length = RandomAccess.GetLength(handle);
        var header = ReadHeader(length);
        _dataOffset = 8 + header.Length;
        try
        {
            using var json = JsonDocument.Parse(header);
            Parse(json.RootElement, length - _dataOffset);
        }
        // Text that is no Unicode is told only when it is read.
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Wrong("header", "a JSON object", e.Message);
        }
        CheckCover(length - _dataOffset);
    }

    public string Path { get; }

    public IReadOnlyCollection<SafeTensor> Tensors => _tensors.Values;

    /// <exception cref="SlimmingException">The file is absent or no sound safetensors file.</exception>
    public static SafetensorsFile Open(string path)
    {
        SafeFileHandle? handle = null;
        try
        {
            RegularFile.Require(path);
            handle = File.OpenHandle(path);
            return new SafetensorsFile(path, handle);
        }
        catch (Exception e)
        {
            handle?.Dispose();
            if (e is IOException or UnauthorizedAccessException)
            {
                throw new SlimmingException(ExitCode.Usage, $"{path}: cannot read the file: {e.Message}", e);
            }
            throw;
        }
    }

    /// <summary>The tensor's values in f32, row-major; all must be finite.</summary>
    public float[] Read(SafeTensor tensor)
    {
        var bytes = new byte[checked((int)(tensor.End - tensor.Begin))];
        for (var at = 0; at < bytes.Length; )
        {
            var read = RandomAccess.Read(_handle, bytes.AsSpan(at), _dataOffset + tensor.Begin + at);
            at += read > 0 ? read : throw Wrong($"tensor '{tensor.Name}'", $"{bytes.Length} bytes", $"{at}");
        }
        var width = Width(tensor.Dtype);
        var values = new float[bytes.Length / width];
        for (var i = 0; i < values.Length; i++)
        {
            var raw = bytes.AsSpan(i * width, width);
            values[i] = tensor.Dtype switch
            {
                "F32" => BinaryPrimitives.ReadSingleLittleEndian(raw),
                "F16" => (float)BinaryPrimitives.ReadHalfLittleEndian(raw),
                _ => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(raw) << 16),
            };
            if (!float.IsFinite(values[i]))
            {
                throw Wrong($"tensor '{tensor.Name}', value {i}", "a finite number", $"{values[i]}");
            }
        }
        return values;
    }

    public SlimmingException Wrong(string place, string expected, string found) =>
        new(ExitCode.Usage, $"{Path}: {place}: expected {expected}, found {found}");

    public void Dispose() => _handle.Dispose();

    private byte[] ReadHeader(long length)
    {
        Span<byte> raw = stackalloc byte[8];
        if (length < 8 || RandomAccess.Read(_handle, raw, 0) < 8)
        {
            throw Wrong("byte 0", "8 bytes of header length", $"a file of {length} bytes");
        }
        var count = BinaryPrimitives.ReadUInt64LittleEndian(raw);
        var limit = Math.Min(length - 8, MaxHeaderBytes);
        if (count > (ulong)limit)
        {
            throw Wrong("byte 0, header length", $"at most {limit}", $"{count}");
        }
        var header = new byte[count];
        for (var at = 0; at < header.Length; )
        {
            var read = RandomAccess.Read(_handle, header.AsSpan(at), 8 + at);
            at += read > 0 ? read : throw Wrong("header", $"{header.Length} bytes", $"{at}");
        }
        return header;
    }

    private void Parse(JsonElement root, long dataBytes)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw Wrong("header", "a JSON object", $"{root.ValueKind}");
        }
        foreach (var property in root.EnumerateObject().Where(p => p.Name != "__metadata__"))
        {
            if (!_tensors.TryAdd(property.Name, ParseTensor(property.Name, property.Value, dataBytes)))
            {
                throw Wrong($"tensor '{property.Name}'", "every tensor once", "it a second time");
            }
        }
    }

    private SafeTensor ParseTensor(string name, JsonElement entry, long dataBytes)
    {
        var place = $"tensor '{name}'";
        if (
            entry.ValueKind != JsonValueKind.Object
            || !entry.TryGetProperty("dtype", out var dtype)
            || dtype.ValueKind != JsonValueKind.String
        )
        {
            throw Wrong(place, "an object with a dtype, shape and data_offsets", entry.GetRawText());
        }
        var type = dtype.GetString()!;
        if (Width(type) == 0)
        {
            throw Wrong(place, "dtype F32, F16 or BF16", type);
        }
        var shape = Integers(entry, "shape", place);
        var offsets = Integers(entry, "data_offsets", place);
        if (offsets.Length != 2 || offsets[0] > offsets[1] || offsets[1] > dataBytes)
        {
            throw Wrong(
                place,
                $"data_offsets [begin, end] within {dataBytes} bytes",
                $"[{string.Join(", ", offsets)}]"
            );
        }
        var bytes = shape.Aggregate((Int128)Width(type), (product, n) => product > dataBytes ? product : product * n);
        return bytes == offsets[1] - offsets[0]
            ? new SafeTensor(name, type, shape, offsets[0], offsets[1])
            : throw Wrong(
                place,
                $"the bytes of {type} [{string.Join(", ", shape)}]",
                $"{offsets[1] - offsets[0]} bytes"
            );
    }

    /// <summary>An array of numbers that are not negative.</summary>
    private long[] Integers(JsonElement entry, string key, string place)
    {
        if (!entry.TryGetProperty(key, out var array) || array.ValueKind != JsonValueKind.Array)
        {
            throw Wrong($"{place}, {key}", "an array", "none");
        }
        return
        [
            .. array
                .EnumerateArray()
                .Select(item =>
                    item.ValueKind == JsonValueKind.Number && item.TryGetInt64(out var value) && value >= 0
                        ? value
                        : throw Wrong($"{place}, {key}", "whole numbers from 0", item.GetRawText())
                ),
        ];
    }

    private void CheckCover(long dataBytes)
    {
        long at = 0;
        foreach (var tensor in _tensors.Values.OrderBy(t => t.Begin).ThenBy(t => t.End))
        {
            if (tensor.Begin != at)
            {
                throw Wrong($"tensor '{tensor.Name}', data_offsets", $"begin at {at}", $"{tensor.Begin}");
            }
            at = tensor.End;
        }
        if (at != dataBytes)
        {
            throw Wrong("data", $"{at} bytes, as the header says", $"{dataBytes}");
        }
    }

    private static int Width(string dtype) =>
        dtype switch
        {
            "F32" => 4,
            "F16" or "BF16" => 2,
            _ => 0,
        };
}
