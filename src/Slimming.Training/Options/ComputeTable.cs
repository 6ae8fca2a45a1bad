using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;

namespace Slimming.Training;

/// <summary>
/// What <c>--compute auto</c> takes: the fastest mode that was measured for the instruction set and the type of the weights,
/// of those that keep the accuracy bars; <c>scripts/bench --only modes --write</c> fills the table. Where nothing was measured it
/// is f32.
/// </summary>
public static class ComputeTable
{
    private const string Resource = "compute-modes.tsv";

    private static readonly Lazy<Dictionary<(string Isa, string Type), ComputeMode>> Rows = new(Read);

    /// <summary>The mode for the model's weights; full-parameter training is f32.</summary>
    public static ComputeMode Choose(TrainOptions options, Isa isa, IEnumerable<GgufTensor> tensors) =>
        options.Compute != "auto" ? ComputeChoice.Of(options.Compute)
        : options.IsFull ? ComputeMode.F32
        : Choose(isa, MainType(tensors));

    public static ComputeMode Choose(Isa isa, string weightType) =>
        Rows.Value.GetValueOrDefault((isa.ToName(), weightType), ComputeMode.F32);

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
        using var stream = typeof(ComputeTable).Assembly.GetManifestResourceStream(Resource)!;
        using StreamReader reader = new(stream);
        return reader
            .ReadToEnd()
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Skip(1)
            .Select(line => line.Split('\t'))
            .ToDictionary(cells => (cells[0], cells[1]), cells => Enum.Parse<ComputeMode>(cells[2], ignoreCase: true));
    }
}
