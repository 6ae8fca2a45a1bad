using Slimming.Gguf;
using Slimming.Interop;

namespace Slimming.Models;

/// <summary>The A and B of one adapted weight.</summary>
internal sealed record LoraModule(string BaseName, LoraTargets Target, GgufTensor A, GgufTensor B)
{
    /// <summary>Rows of A.</summary>
    public long Rank => A.Shape[1];
}

/// <summary>Pairs up the tensors of an adapter file.</summary>
internal static class LoraModules
{
    public const string SuffixA = ".lora_a";
    public const string SuffixB = ".lora_b";

    private static readonly (string Name, LoraTargets Target)[] Linears =
    [
        ("attn_q.weight", LoraTargets.AttnQ),
        ("attn_k.weight", LoraTargets.AttnK),
        ("attn_v.weight", LoraTargets.AttnV),
        ("attn_output.weight", LoraTargets.AttnOutput),
        ("ffn_gate.weight", LoraTargets.FfnGate),
        ("ffn_up.weight", LoraTargets.FfnUp),
        ("ffn_down.weight", LoraTargets.FfnDown),
    ];

    /// <summary>blk.N.attn_q.weight and so on; none for another tensor.</summary>
    public static LoraTargets TargetOf(string baseName)
    {
        var parts = baseName.Split('.', 3);
        return parts.Length == 3 && parts[0] == "blk" && int.TryParse(parts[1], out _)
            ? Linears.FirstOrDefault(l => l.Name == parts[2]).Target
            : LoraTargets.None;
    }

    /// <exception cref="GgufException">A tensor that is neither A nor B of a linear layer, without its other half, or of another shape.</exception>
    public static List<LoraModule> Read(GgufFile file)
    {
        var modules = new List<LoraModule>();
        foreach (var tensor in file.Tensors)
        {
            var baseName = tensor.Name.Length > SuffixA.Length ? tensor.Name[..^SuffixA.Length] : "";
            var isA = tensor.Name.EndsWith(SuffixA, StringComparison.Ordinal);
            var isB = tensor.Name.EndsWith(SuffixB, StringComparison.Ordinal);
            if (!(isA || isB) || TargetOf(baseName) == LoraTargets.None)
            {
                throw Wrong(
                    file,
                    tensor.Name,
                    $"blk.N.<{string.Join('|', Linears.Select(l => l.Name))}> with {SuffixA} or {SuffixB}",
                    "another tensor"
                );
            }
            var otherName = baseName + (isA ? SuffixB : SuffixA);
            var other = file.Find(otherName) ?? throw Wrong(file, otherName, $"it beside '{tensor.Name}'", "nothing");
            if (isA)
            {
                modules.Add(Pair(file, baseName, tensor, other));
            }
        }
        return modules.Count > 0 ? modules : throw new GgufException(file.Path, "tensors", "lora_a and lora_b", "none");
    }

    private static LoraModule Pair(GgufFile file, string baseName, GgufTensor a, GgufTensor b)
    {
        foreach (var tensor in new[] { a, b })
        {
            if (tensor.Shape.Count != 2)
            {
                throw Wrong(file, tensor.Name, "2 dimensions", tensor.ShapeText);
            }
            if (tensor.Type is not (GgmlType.F32 or GgmlType.F16 or GgmlType.BF16))
            {
                throw Wrong(file, tensor.Name, "type f32, f16 or bf16", GgmlTypes.Name(tensor.Type));
            }
        }
        if (a.Shape[1] != b.Shape[0])
        {
            throw Wrong(file, b.Name, $"rank {a.Shape[1]} as in {SuffixA}", $"{b.Shape[0]}");
        }
        return new LoraModule(baseName, TargetOf(baseName), a, b);
    }

    private static GgufException Wrong(GgufFile file, string tensor, string expected, string found) =>
        new(file.Path, $"tensor '{tensor}'", expected, found);
}
