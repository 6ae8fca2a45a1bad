using Slimming.Gguf;
using Slimming.Interop;

namespace Slimming.Models;

/// <summary>
/// What a model architecture does that its GGUF keys do not say. Adding an architecture that the decoder covers is one
/// row here.
/// </summary>
public sealed record Architecture(string Name)
{
    public RopeType Rope { get; init; } = RopeType.Neox;
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>Embeddings are multiplied by sqrt(n_embd).</summary>
    public bool ScalesEmbeddings { get; init; }

    /// <summary>Every n-th layer sees all keys, the others a window; 0: no windows.</summary>
    public int SlidingPattern { get; init; }

    /// <summary>Keys a windowed layer sees where the file does not say; 0: all.</summary>
    public int DefaultWindow { get; init; }

    /// <summary>RoPE base of windowed layers, for which no key exists; 0: that of the others.</summary>
    public float LocalRopeBase { get; init; }

    /// <summary>Attention and final logits are capped by their keys.</summary>
    public bool HasSoftcaps { get; init; }

    /// <summary>The layer count whose attention scale is 1/sqrt(n_embd/n_head), for which no key exists.</summary>
    public int LayersWithEmbeddingScale { get; init; }

    /// <summary>Tensors that each layer has beyond the common ones.</summary>
    public IReadOnlyList<string> ExtraLayerTensors { get; init; } = [];

    private static readonly string[] HeadNorms = ["attn_q_norm.weight", "attn_k_norm.weight"];
    private static readonly string[] PostNorms = ["post_attention_norm.weight", "post_ffw_norm.weight"];

    public static IReadOnlyList<Architecture> All { get; } =
    [
        new("llama") { Rope = RopeType.Pairs },
        new("gemma") { Activation = Activation.GeluTanh, ScalesEmbeddings = true },
        new("gemma2")
        {
            Activation = Activation.GeluTanh,
            ScalesEmbeddings = true,
            SlidingPattern = 2,
            DefaultWindow = 4096,
            HasSoftcaps = true,
            LayersWithEmbeddingScale = 46,
            ExtraLayerTensors = PostNorms,
        },
        new("gemma3")
        {
            Activation = Activation.GeluTanh,
            ScalesEmbeddings = true,
            SlidingPattern = 6,
            LocalRopeBase = 10_000,
            LayersWithEmbeddingScale = 62,
            ExtraLayerTensors = [.. HeadNorms, .. PostNorms],
        },
        new("qwen2") { ExtraLayerTensors = ["attn_q.bias", "attn_k.bias", "attn_v.bias"] },
        new("qwen3") { ExtraLayerTensors = HeadNorms },
    ];

    /// <exception cref="GgufException">The file's architecture is not in the table.</exception>
    public static Architecture Of(GgufFile file)
    {
        var name = file.Metadata.GetString("general.architecture");
        return All.FirstOrDefault(a => a.Name == name)
            ?? throw new GgufException(
                file.Path,
                "key 'general.architecture'",
                $"one of {string.Join(", ", All.Select(a => a.Name))}",
                $"'{name}'"
            );
    }
}
