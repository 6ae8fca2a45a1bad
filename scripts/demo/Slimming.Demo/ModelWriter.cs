using System.Runtime.InteropServices;
using Slimming.Gguf;

namespace Slimming.Demo;

/// <summary>Writes a llama-architecture model with drawn weights and a tokenizer of its own: the start of pre-training.</summary>
public static class ModelWriter
{
    public const int Width = 256; // n_embd; a multiple of 256, so that K-quants divide its rows
    public const int Layers = 4;
    public const int Heads = 8;
    public const int HeadsKv = 4;
    public const int HeadWidth = 32;
    public const int Hidden = 512; // n_ff
    public const int Context = 512;
    private const int Merges = 381;

    private static readonly string[] Special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

    private const string ChatTemplate =
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    public static void Write(string path, Corpus corpus)
    {
        var merges = BpeTrainer.Train(TokenizerText(corpus), Merges);
        List<string> tokens = [.. Special, .. BpeTrainer.ByteSymbols, .. merges.Select(pair => pair.Left + pair.Right)];
        var tensors = Tensors(tokens.Count);
        using var writer = new GgufWriter(path, Metadata(path, tokens, merges), overwrite: true);
        foreach (var (name, shape, _) in tensors)
        {
            writer.AddTensor(name, GgmlType.F32, shape);
        }
        for (var i = 0; i < tensors.Count; i++)
        {
            var (name, shape, deviation) = tensors[i];
            writer.Write(name, MemoryMarshal.AsBytes(Draw(i, shape, deviation).AsSpan()));
        }
        writer.Complete();
    }

    private static IEnumerable<string> TokenizerText(Corpus corpus) =>
        corpus
            .Pretraining.Take(20_000)
            .Concat(corpus.FollowingTraining)
            .SelectMany(item => new[] { "user\n", item.Question, "assistant\n", item.Answer })
            .Concat(corpus.Prose);

    private static GgufMetadata Metadata(string path, List<string> tokens, List<(string Left, string Right)> merges)
    {
        var metadata = new GgufMetadata(path);
        metadata.Set("general.architecture", GgufValue.Of("llama"));
        metadata.Set("general.type", GgufValue.Of("model"));
        metadata.Set("general.name", GgufValue.Of("slimming demo"));
        metadata.Set("general.file_type", GgufValue.Of(0u));
        metadata.Set("general.quantization_version", GgufValue.Of(2u));
        metadata.Set("llama.context_length", GgufValue.Of((uint)Context));
        metadata.Set("llama.embedding_length", GgufValue.Of((uint)Width));
        metadata.Set("llama.block_count", GgufValue.Of((uint)Layers));
        metadata.Set("llama.feed_forward_length", GgufValue.Of((uint)Hidden));
        metadata.Set("llama.attention.head_count", GgufValue.Of((uint)Heads));
        metadata.Set("llama.attention.head_count_kv", GgufValue.Of((uint)HeadsKv));
        metadata.Set("llama.attention.layer_norm_rms_epsilon", GgufValue.Of(1e-5f));
        metadata.Set("llama.rope.freq_base", GgufValue.Of(10_000f));
        metadata.Set("llama.rope.dimension_count", GgufValue.Of((uint)HeadWidth));
        metadata.Set("llama.vocab_size", GgufValue.Of((uint)tokens.Count));
        metadata.Set("tokenizer.ggml.model", GgufValue.Of("gpt2"));
        metadata.Set("tokenizer.ggml.pre", GgufValue.Of("smollm"));
        metadata.Set("tokenizer.ggml.tokens", GgufValue.Of(tokens));
        // ggml's token types: 3 control, 1 normal.
        metadata.Set(
            "tokenizer.ggml.token_type",
            GgufValue.Of([.. tokens.Select((_, id) => id < Special.Length ? 3 : 1)])
        );
        metadata.Set("tokenizer.ggml.merges", GgufValue.Of([.. merges.Select(pair => $"{pair.Left} {pair.Right}")]));
        metadata.Set("tokenizer.ggml.bos_token_id", GgufValue.Of(0u));
        metadata.Set("tokenizer.ggml.eos_token_id", GgufValue.Of(2u));
        metadata.Set("tokenizer.ggml.eot_token_id", GgufValue.Of(2u));
        metadata.Set("tokenizer.ggml.padding_token_id", GgufValue.Of(0u));
        metadata.Set("tokenizer.ggml.add_bos_token", GgufValue.Of(false));
        metadata.Set("tokenizer.chat_template", GgufValue.Of(ChatTemplate));
        return metadata;
    }

    /// <summary>Names, shapes in ne order, and standard deviations (0: a norm, all ones). The head is tied to the embeddings.</summary>
    private static List<(string Name, long[] Shape, float Deviation)> Tensors(int vocabulary)
    {
        const float deviation = 0.04f;
        // Branches that end in the residual stream start smaller, by the square root of how many there are (GPT-2).
        var closing = deviation / MathF.Sqrt(2 * Layers);
        var tensors = new List<(string, long[], float)> { ("token_embd.weight", [Width, vocabulary], deviation) };
        for (var layer = 0; layer < Layers; layer++)
        {
            var block = $"blk.{layer}.";
            tensors.Add((block + "attn_norm.weight", [Width], 0));
            tensors.Add((block + "attn_q.weight", [Width, Heads * HeadWidth], deviation));
            tensors.Add((block + "attn_k.weight", [Width, HeadsKv * HeadWidth], deviation));
            tensors.Add((block + "attn_v.weight", [Width, HeadsKv * HeadWidth], deviation));
            tensors.Add((block + "attn_output.weight", [Heads * HeadWidth, Width], closing));
            tensors.Add((block + "ffn_norm.weight", [Width], 0));
            tensors.Add((block + "ffn_gate.weight", [Width, Hidden], deviation));
            tensors.Add((block + "ffn_up.weight", [Width, Hidden], deviation));
            tensors.Add((block + "ffn_down.weight", [Hidden, Width], closing));
        }
        tensors.Add(("output_norm.weight", [Width], 0));
        return tensors;
    }

    private static float[] Draw(int tensor, long[] shape, float deviation)
    {
        var values = new float[shape.Aggregate(1L, (product, ne) => product * ne)];
        if (deviation == 0)
        {
            Array.Fill(values, 1);
            return values;
        }
        var draws = new Draws(Corpus.Seed + 1_000 + (ulong)tensor);
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = draws.Normal() * deviation;
        }
        return values;
    }
}
