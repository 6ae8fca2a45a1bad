using Slimming.Gguf;
using Slimming.Interop;

namespace Slimming.Models;

/// <summary>Reads what a decoder is from a GGUF file's keys and checks its tensors against that.</summary>
public static class ModelConfig
{
    private static readonly GgmlType[] WeightTypes =
    [
        GgmlType.F32,
        GgmlType.F16,
        GgmlType.BF16,
        GgmlType.Q4_0,
        GgmlType.Q4_1,
        GgmlType.Q5_0,
        GgmlType.Q5_1,
        GgmlType.Q8_0,
        GgmlType.Q4_K,
        GgmlType.Q5_K,
        GgmlType.Q6_K,
        GgmlType.Q2_K,
        GgmlType.Q3_K,
        GgmlType.IQ1_S,
        GgmlType.IQ1_M,
        GgmlType.IQ2_XXS,
        GgmlType.IQ2_XS,
        GgmlType.IQ2_S,
        GgmlType.IQ3_XXS,
        GgmlType.IQ3_S,
        GgmlType.IQ4_NL,
        GgmlType.IQ4_XS,
        GgmlType.TQ1_0,
        GgmlType.TQ2_0,
        GgmlType.MXFP4,
        GgmlType.NVFP4,
    ];

    private const string TokensKey = "tokenizer.ggml.tokens";

    /// <exception cref="GgufException">A key or tensor is missing, of a wrong shape or of a type that cannot be trained on.</exception>
    public static ModelParams Read(GgufFile file)
    {
        RefuseNonModels(file);
        var architecture = Architecture.Of(file);
        var keys = new Keys(file, architecture.Name);
        keys.Refuse("expert_count", value => value > 0, "no mixture of experts");
        RefuseOtherAttention(keys);
        var nLayer = keys.Size("block_count");
        var nEmbd = keys.Size("embedding_length");
        var nHead = keys.Size("attention.head_count");
        var nHeadKv = keys.Size("attention.head_count_kv", nHead);
        var nEmbdHead = keys.Size("attention.key_length", Math.Max(1, nEmbd / nHead));
        keys.Refuse("attention.value_length", value => value != nEmbdHead, $"the key length {nEmbdHead}");
        if (nHead % nHeadKv != 0)
        {
            throw keys.Wrong("attention.head_count_kv", $"a divisor of head_count {nHead}", $"{nHeadKv}");
        }
        var parameters = new ModelParams
        {
            Architecture = architecture.Name,
            NLayer = nLayer,
            NEmbd = nEmbd,
            NHead = nHead,
            NHeadKv = nHeadKv,
            NEmbdHead = nEmbdHead,
            NFf = keys.Size("feed_forward_length"),
            NVocab = VocabularySize(file),
            NRot = keys.Size("rope.dimension_count", nEmbdHead),
            RopeType = architecture.Rope,
            Activation = architecture.Activation,
            SlidingWindow =
                architecture.SlidingPattern > 0 ? keys.Size("attention.sliding_window", architecture.DefaultWindow) : 0,
            SlidingPattern = architecture.SlidingPattern,
            NormRmsEpsilon = keys.Positive("attention.layer_norm_rms_epsilon"),
            RopeFreqBase = keys.Positive("rope.freq_base", 10_000),
            RopeFreqBaseLocal = architecture.LocalRopeBase,
            RopeFreqScale = RopeScale(keys, architecture),
            EmbeddingScale = architecture.ScalesEmbeddings ? MathF.Sqrt(nEmbd) : 1,
            AttentionScale =
                1 / MathF.Sqrt(nLayer == architecture.LayersWithEmbeddingScale ? (float)nEmbd / nHead : nEmbdHead),
            AttnLogitSoftcap = architecture.HasSoftcaps ? keys.Positive("attn_logit_softcapping", 50) : 0,
            FinalLogitSoftcap = architecture.HasSoftcaps ? keys.Positive("final_logit_softcapping", 30) : 0,
        };
        RefuseOtherBiases(file);
        CheckTensors(file, architecture, parameters);
        return parameters;
    }

    /// <summary>Tokens the model was trained for.</summary>
    public static int ContextLength(GgufFile file) => new Keys(file, Architecture.Of(file).Name).Size("context_length");

    internal static bool IsWeightType(GgmlType type) => Array.IndexOf(WeightTypes, type) >= 0;

    /// <summary>blk.N.attn_q.bias, of k and of v: the biases that the decoder adds in any architecture.</summary>
    internal static bool KnowsBias(string name) =>
        name.Split('.', 3) is ["blk", _, "attn_q.bias" or "attn_k.bias" or "attn_v.bias"];

    /// <summary>A bias that is left out gives plausible but wrong logits.</summary>
    private static void RefuseOtherBiases(GgufFile file)
    {
        var bias = file.Tensors.FirstOrDefault(t =>
            t.Name.StartsWith("blk.", StringComparison.Ordinal)
            && t.Name.EndsWith(".bias", StringComparison.Ordinal)
            && !KnowsBias(t.Name)
        );
        if (bias != null)
        {
            throw new GgufException(
                file.Path,
                $"tensor '{bias.Name}'",
                "no biases but those of attn_q, attn_k and attn_v",
                "one that this decoder does not add"
            );
        }
    }

    private static void RefuseNonModels(GgufFile file)
    {
        var type = file.Metadata.GetString("general.type", "model");
        if (type != "model")
        {
            throw new GgufException(
                file.Path,
                "key 'general.type'",
                "'model'",
                $"'{type}'; give the base model's file here"
            );
        }
    }

    private static int VocabularySize(GgufFile file)
    {
        var embeddings =
            file.Find("token_embd.weight")
            ?? throw new GgufException(file.Path, "tensor 'token_embd.weight'", "the file does not have it");
        if (embeddings.Shape.Count != 2 || embeddings.Shape[1] > int.MaxValue)
        {
            throw new GgufException(file.Path, "tensor 'token_embd.weight'", "2 dimensions", embeddings.ShapeText);
        }
        if (file.Metadata.TryGet(TokensKey, out var tokens) && tokens.Count != embeddings.Shape[1])
        {
            throw new GgufException(
                file.Path,
                $"key '{TokensKey}'",
                $"{embeddings.Shape[1]} tokens, the rows of 'token_embd.weight'",
                $"{tokens.Count}"
            );
        }
        return (int)embeddings.Shape[1];
    }

    /// <summary>Keys that llama.cpp obeys in every architecture and this decoder does not.</summary>
    private static void RefuseOtherAttention(Keys keys)
    {
        if (keys.Positive("rope.scaling.attn_factor", 1) is var factor && factor != 1)
        {
            throw keys.Wrong("rope.scaling.attn_factor", "1", $"{factor}");
        }
        if (!keys.Flag("attention.causal", true))
        {
            throw keys.Wrong("attention.causal", "true", "false");
        }
    }

    /// <summary>Linear scaling divides positions by its factor; the other kinds have no reference here yet and are refused.</summary>
    private static float RopeScale(Keys keys, Architecture architecture)
    {
        var kind = keys.Text("rope.scaling.type", "linear");
        if (kind == "none")
        {
            return 1;
        }
        if (kind != "linear")
        {
            throw keys.Wrong("rope.scaling.type", "'none' or 'linear'", $"'{kind}'");
        }
        var factor = keys.Positive("rope.scaling.factor", keys.Positive("rope.scale_linear", 1));
        // The library scales full layers only, which is what gemma3 means; elsewhere windowed layers would be scaled too.
        if (factor != 1 && architecture.SlidingPattern > 0 && architecture.LocalRopeBase == 0)
        {
            throw keys.Wrong("rope.scaling.factor", $"1 for {architecture.Name}", $"{factor}");
        }
        return 1 / factor;
    }

    private static void CheckTensors(GgufFile file, Architecture architecture, ModelParams p)
    {
        Check(file, "token_embd.weight", [p.NEmbd, p.NVocab]);
        Check(file, "output_norm.weight", [p.NEmbd]);
        if (file.Find("output.weight") != null)
        {
            Check(file, "output.weight", [p.NEmbd, p.NVocab]);
        }
        if (file.Find("rope_freqs.weight") != null)
        {
            Check(file, "rope_freqs.weight", [p.NRot / 2]);
        }
        for (var layer = 0; layer < p.NLayer; layer++)
        {
            foreach (var (name, shape) in LayerTensors(p))
            {
                if (LayerTensorIsCommon(name) || architecture.ExtraLayerTensors.Contains(name))
                {
                    Check(file, $"blk.{layer}.{name}", shape);
                }
            }
        }
    }

    private static bool LayerTensorIsCommon(string name) =>
        !Architecture.All.Any(a => a.ExtraLayerTensors.Contains(name));

    private static IEnumerable<(string Name, long[] Shape)> LayerTensors(ModelParams p)
    {
        long q = (long)p.NHead * p.NEmbdHead;
        long kv = (long)p.NHeadKv * p.NEmbdHead;
        yield return ("attn_norm.weight", [p.NEmbd]);
        yield return ("attn_q.weight", [p.NEmbd, q]);
        yield return ("attn_k.weight", [p.NEmbd, kv]);
        yield return ("attn_v.weight", [p.NEmbd, kv]);
        yield return ("attn_q.bias", [q]);
        yield return ("attn_k.bias", [kv]);
        yield return ("attn_v.bias", [kv]);
        yield return ("attn_q_norm.weight", [p.NEmbdHead]);
        yield return ("attn_k_norm.weight", [p.NEmbdHead]);
        yield return ("attn_output.weight", [q, p.NEmbd]);
        yield return ("post_attention_norm.weight", [p.NEmbd]);
        yield return ("ffn_norm.weight", [p.NEmbd]);
        yield return ("ffn_gate.weight", [p.NEmbd, p.NFf]);
        yield return ("ffn_up.weight", [p.NEmbd, p.NFf]);
        yield return ("ffn_down.weight", [p.NFf, p.NEmbd]);
        yield return ("post_ffw_norm.weight", [p.NEmbd]);
    }

    private static void Check(GgufFile file, string name, long[] shape)
    {
        var tensor =
            file.Find(name) ?? throw new GgufException(file.Path, $"tensor '{name}'", "the file does not have it");
        if (!tensor.Shape.SequenceEqual(shape))
        {
            throw new GgufException(
                file.Path,
                $"tensor '{name}'",
                $"shape [{string.Join(", ", shape)}]",
                tensor.ShapeText
            );
        }
        var types = shape.Length == 1 ? [GgmlType.F32] : WeightTypes;
        if (!types.Contains(tensor.Type))
        {
            throw new GgufException(
                file.Path,
                $"tensor '{name}'",
                $"a type out of {string.Join(", ", types.Select(GgmlTypes.Name))}",
                GgmlTypes.Name(tensor.Type)
            );
        }
    }

    /// <summary>Keys below "&lt;architecture&gt;.".</summary>
    private sealed class Keys(GgufFile file, string architecture)
    {
        public int Size(string key, int? fallback = null)
        {
            var name = $"{architecture}.{key}";
            if (fallback is { } value && !file.Metadata.Contains(name))
            {
                return value;
            }
            var found = file.Metadata.GetInteger(name);
            return found is >= 1 and <= int.MaxValue
                ? (int)found
                : throw Wrong(key, $"an integer from 1 to {int.MaxValue}", $"{found}");
        }

        public float Positive(string key, double? fallback = null)
        {
            var name = $"{architecture}.{key}";
            var found = fallback is { } value ? file.Metadata.GetFloat(name, value) : file.Metadata.GetFloat(name);
            return double.IsFinite(found) && found > 0
                ? (float)found
                : throw Wrong(key, "a number above 0", $"{found}");
        }

        public bool Flag(string key, bool fallback) => file.Metadata.GetBool($"{architecture}.{key}", fallback);

        public string Text(string key, string fallback) => file.Metadata.GetString($"{architecture}.{key}", fallback)!;

        public void Refuse(string key, Func<long, bool> bad, string expected)
        {
            var name = $"{architecture}.{key}";
            if (file.Metadata.Contains(name) && bad(file.Metadata.GetInteger(name)))
            {
                throw Wrong(key, expected, $"{file.Metadata.GetInteger(name)}");
            }
        }

        public GgufException Wrong(string key, string expected, string found) =>
            new(file.Path, $"key '{architecture}.{key}'", expected, found);
    }
}
