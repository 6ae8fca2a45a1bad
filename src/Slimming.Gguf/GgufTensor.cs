namespace Slimming.Gguf;

/// <summary>One tensor of a file.</summary>
/// <param name="Name">As in the file.</param>
/// <param name="Type">A number outside <see cref="GgmlType"/> is kept; its bytes then reach to the next tensor.</param>
/// <param name="Shape">ne order: Shape[0] is the length of a row.</param>
/// <param name="Offset">Bytes from the start of the data section.</param>
/// <param name="ByteCount">Bytes of its data.</param>
/// <param name="ValueCount">Product of the shape.</param>
public sealed record GgufTensor(
    string Name,
    GgmlType Type,
    IReadOnlyList<long> Shape,
    ulong Offset,
    long ByteCount,
    long ValueCount
)
{
    /// <summary>Length of a row.</summary>
    public long RowLength => Shape.Count > 0 ? Shape[0] : 1;

    public long RowCount => ValueCount / RowLength;

    /// <summary>Shape as people write it: [576, 49152].</summary>
    public string ShapeText => $"[{string.Join(", ", Shape)}]";
}
