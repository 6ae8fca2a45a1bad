namespace Slimming.Training.Data;

/// <summary>Where a row of a file stands.</summary>
/// <param name="Number">From 0.</param>
/// <param name="Start">Its first byte.</param>
/// <param name="Length">Its bytes.</param>
/// <param name="Json">The row itself, where the file cannot give single rows.</param>
internal readonly record struct RowPlace(long Number, long Start, int Length, string? Json);

/// <summary>A data file whose rows can be read in any order.</summary>
internal abstract class RowFile(string path, int part)
{
    public string Path { get; } = path;

    /// <summary>The value of <c>--data</c> that it came by.</summary>
    public int Part { get; } = part;

    /// <summary>Rows; with <see cref="Fault"/> those before it.</summary>
    public long Count { get; protected set; }

    /// <summary>Why no more rows were found; null where there are none.</summary>
    public Gguf.SlimmingException? Fault { get; protected set; }

    /// <summary>Finds rows.</summary>
    /// <param name="numbers">Ascending.</param>
    /// <exception cref="Gguf.SlimmingException">The file cannot be read, or is another one by now.</exception>
    public abstract IReadOnlyList<RowPlace> Locate(IReadOnlyList<long> numbers);

    public abstract RawRow Read(RowPlace place);
}
