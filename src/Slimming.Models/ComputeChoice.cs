using Slimming.Gguf;
using Slimming.Interop;

namespace Slimming.Models;

/// <summary>
/// The option <c>--compute</c>: what products are computed in. auto is the fastest mode that was measured for the
/// instruction set and the type of the weights, of those that keep the accuracy bars; <c>scripts/bench --only modes --write</c>
/// fills the table. Where nothing was measured it is f32.
/// </summary>
public static class ComputeChoice
{
    private const string Resource = "compute-modes.tsv";

    private static readonly Lazy<Dictionary<(string Isa, string Type), ComputeMode>> Rows = new(Read);

    public static IReadOnlyList<string> Names { get; } = ["auto", "f32", "bf16", "int8"];

    /// <summary>The mode for a model's tensors.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="isa">The level that computes.</param>
    /// <param name="tensors">All of the model's.</param>
    public static ComputeMode Of(string name, Isa isa, IEnumerable<GgufTensor> tensors) =>
        name == "auto" ? Fastest(isa, MainType(tensors)) : Enum.Parse<ComputeMode>(name, ignoreCase: true);

    /// <summary>
    /// Tiles without a row of their own take that of the instructions which they stand in for: all but their bf16 products
    /// is the same code.
    /// </summary>
    public static ComputeMode Fastest(Isa isa, string weightType) =>
        Rows.Value.TryGetValue((isa.ToName(), weightType), out var mode) ? mode
        : isa == Isa.AmxBf16 ? Fastest(Isa.Avx512Bf16, weightType)
        : ComputeMode.F32;

    /// <summary>The type that holds most values of the layers' matrices, as a lower-case name.</summary>
    public static string MainType(IEnumerable<GgufTensor> tensors) =>
        tensors
            .Where(tensor => tensor.Name.StartsWith("blk.", StringComparison.Ordinal) && tensor.Shape.Count > 1)
            .GroupBy(tensor => tensor.Type)
            .OrderByDescending(group => group.Sum(tensor => (decimal)tensor.ValueCount))
            .ThenBy(group => group.Key)
            .Select(group => group.Key.ToString().ToLowerInvariant())
            .FirstOrDefault("f32");

    private static Dictionary<(string Isa, string Type), ComputeMode> Read()
    {
        using var stream = typeof(ComputeChoice).Assembly.GetManifestResourceStream(Resource)!;
        using StreamReader reader = new(stream);
        return reader
            .ReadToEnd()
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Skip(1)
            .Select(line => line.Split('\t'))
            .ToDictionary(cells => (cells[0], cells[1]), cells => Enum.Parse<ComputeMode>(cells[2], ignoreCase: true));
    }
}
