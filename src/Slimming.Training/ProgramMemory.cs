using Slimming.Gguf;

namespace Slimming.Training;

/// <summary>
/// Bytes of the program itself beside mapped file and planned blocks, each part measured by leaving it out
/// (docs/performance.md has the figures).
/// </summary>
internal static class ProgramMemory
{
    private const long MiB = 1 << 20;

    /// <summary>
    /// While it trains: .NET, code, libraries, their heaps, and the writing of a result. In the middle between a run of one
    /// step and one of hundreds, whose code is compiled a second time and whose heap fills its youngest part.
    /// </summary>
    private const long BaseBytes = 74 * MiB;

    /// <summary>The interpreter of chat templates.</summary>
    private const long TemplateBytes = 12 * MiB;

    /// <summary>libduckdb with its tables.</summary>
    private const long DuckDbBytes = 32 * MiB;

    /// <summary>Token and target of each position, and what arrays of samples take beside.</summary>
    private const int BytesPerToken = 9;

    /// <param name="model">Its header is held.</param>
    /// <param name="data">Null: the least of any.</param>
    public static long Bytes(GgufFile model, PlannedData? data) =>
        BaseBytes
        + HeaderBytes(model)
        + (
            data is null
                ? 0
                : BytesPerToken * data.HeldTokens
                    + (data.UsesTemplate ? TemplateBytes : 0)
                    + (data.UsesDuckDb ? DuckDbBytes : 0)
                    + (data.IsStreamed ? 5 * HeaderBytes(model) : 0)
        );

    private static long HeaderBytes(GgufFile model) => model.DataOffset;
}
