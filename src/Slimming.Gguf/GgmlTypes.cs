using System.Collections.Frozen;

namespace Slimming.Gguf;

/// <summary>Block sizes and names of the tensor types, as libggml of llama.cpp v0.5.0 reports them.</summary>
public static class GgmlTypes
{
    private readonly record struct Block(int Values, int Bytes);

    private static readonly FrozenDictionary<GgmlType, Block> Blocks = new Dictionary<GgmlType, Block>
    {
        [GgmlType.F32] = new(1, 4),
        [GgmlType.F16] = new(1, 2),
        [GgmlType.Q4_0] = new(32, 18),
        [GgmlType.Q4_1] = new(32, 20),
        [GgmlType.Q5_0] = new(32, 22),
        [GgmlType.Q5_1] = new(32, 24),
        [GgmlType.Q8_0] = new(32, 34),
        [GgmlType.Q8_1] = new(32, 36),
        [GgmlType.Q2_K] = new(256, 84),
        [GgmlType.Q3_K] = new(256, 110),
        [GgmlType.Q4_K] = new(256, 144),
        [GgmlType.Q5_K] = new(256, 176),
        [GgmlType.Q6_K] = new(256, 210),
        [GgmlType.Q8_K] = new(256, 292),
        [GgmlType.IQ2_XXS] = new(256, 66),
        [GgmlType.IQ2_XS] = new(256, 74),
        [GgmlType.IQ3_XXS] = new(256, 98),
        [GgmlType.IQ1_S] = new(256, 50),
        [GgmlType.IQ4_NL] = new(32, 18),
        [GgmlType.IQ3_S] = new(256, 110),
        [GgmlType.IQ2_S] = new(256, 82),
        [GgmlType.IQ4_XS] = new(256, 136),
        [GgmlType.I8] = new(1, 1),
        [GgmlType.I16] = new(1, 2),
        [GgmlType.I32] = new(1, 4),
        [GgmlType.I64] = new(1, 8),
        [GgmlType.F64] = new(1, 8),
        [GgmlType.IQ1_M] = new(256, 56),
        [GgmlType.BF16] = new(1, 2),
        [GgmlType.TQ1_0] = new(256, 54),
        [GgmlType.TQ2_0] = new(256, 66),
        [GgmlType.MXFP4] = new(32, 17),
        [GgmlType.NVFP4] = new(64, 36),
        [GgmlType.Q1_0] = new(128, 18),
        [GgmlType.Q2_0] = new(64, 18),
    }.ToFrozenDictionary();

    private static readonly FrozenDictionary<string, GgmlType> ByName = Blocks.Keys.ToFrozenDictionary(
        Name,
        StringComparer.OrdinalIgnoreCase
    );

    public static bool IsKnown(GgmlType type) => Blocks.ContainsKey(type);

    /// <summary>Values in one block; rows are whole numbers of blocks.</summary>
    public static int BlockValues(GgmlType type) => Find(type).Values;

    public static int BlockBytes(GgmlType type) => Find(type).Bytes;

    /// <summary>Bytes of a row of <paramref name="nPerRow"/> values, which must be a multiple of the block.</summary>
    public static long RowBytes(GgmlType type, long nPerRow)
    {
        var block = Find(type);
        if (nPerRow < 0 || nPerRow % block.Values != 0)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"type {Name(type)}: expected rows of a multiple of {block.Values} values, found {nPerRow}"
            );
        }
        return checked(nPerRow / block.Values * block.Bytes);
    }

    /// <summary>Lower-case name as the field writes it (q4_0); an unknown number reads type_N.</summary>
    public static string Name(GgmlType type) =>
        Blocks.ContainsKey(type) ? type.ToString().ToLowerInvariant() : $"type_{(uint)type}";

    public static bool TryParse(string name, out GgmlType type) => ByName.TryGetValue(name, out type);

    private static Block Find(GgmlType type) =>
        Blocks.TryGetValue(type, out var block)
            ? block
            : throw new SlimmingException(ExitCode.Usage, $"tensor type {(uint)type} is not known to this program");
}
