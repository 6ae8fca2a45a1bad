using System.Runtime.InteropServices;
using Slimming.Gguf;

namespace Slimming.Fuzz;

/// <summary>Small sound files that the broken ones are made from.</summary>
internal static class Seeds
{
    private const int Embd = 32;
    private const int Vocabulary = 3 + 256 + 26;

    /// <summary>A llama of one layer with a byte vocabulary and a chat template, some 12 KiB.</summary>
    public static byte[] Model() => Write(ModelMetadata(), ModelTensors());

    /// <summary>The first of two parts of the same model, and the second.</summary>
    public static (byte[] First, byte[] Second) Split()
    {
        var tensors = ModelTensors();
        var half = tensors.Count / 2;
        GgufMetadata part(GgufMetadata metadata, int number)
        {
            metadata.Set("split.no", GgufValue.Of((uint)number));
            metadata.Set("split.count", GgufValue.Of(2u));
            metadata.Set("split.tensors.count", GgufValue.Of(tensors.Count));
            return metadata;
        }
        return (
            Write(part(ModelMetadata(), 0), tensors[..half]),
            Write(part(new GgufMetadata("second"), 1), tensors[half..])
        );
    }

    /// <summary>A LoRA adapter of that model on q and v.</summary>
    public static byte[] Adapter(string baseSha256)
    {
        GgufMetadata metadata = new("adapter");
        metadata.Set("general.type", GgufValue.Of("adapter"));
        metadata.Set("general.architecture", GgufValue.Of("llama"));
        metadata.Set("adapter.type", GgufValue.Of("lora"));
        metadata.Set("adapter.lora.alpha", GgufValue.Of(4f));
        metadata.Set("slimming.base.sha256", GgufValue.Of(baseSha256));
        List<(string, GgmlType, long[])> tensors = [];
        foreach (var name in new[] { "blk.0.attn_q.weight", "blk.0.attn_v.weight" })
        {
            tensors.Add((name + ".lora_a", GgmlType.F32, [Embd, 2]));
            tensors.Add((name + ".lora_b", GgmlType.F32, [2, Embd]));
        }
        return Write(metadata, tensors);
    }

    /// <summary>Two tensors with the header that Hugging Face's format has.</summary>
    public static byte[] Safetensors()
    {
        const string header =
            "{\"__metadata__\":{\"format\":\"pt\"},"
            + "\"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[2,32],\"data_offsets\":[0,256]},"
            + "\"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight\":{\"dtype\":\"F32\",\"shape\":[32,2],\"data_offsets\":[256,512]}}";
        return
        [
            .. BitConverter.GetBytes((long)header.Length),
            .. System.Text.Encoding.UTF8.GetBytes(header),
            .. new byte[512],
        ];
    }

    /// <summary>What llama.cpp's importance matrices look like.</summary>
    public static byte[] Imatrix()
    {
        GgufMetadata metadata = new("imatrix");
        metadata.Set("general.type", GgufValue.Of("imatrix"));
        metadata.Set("imatrix.datasets", GgufValue.Of(["text"]));
        metadata.Set("imatrix.chunk_count", GgufValue.Of(2u));
        metadata.Set("imatrix.chunk_size", GgufValue.Of(64u));
        List<(string, GgmlType, long[])> tensors = [];
        foreach (var name in new[] { "blk.0.attn_q.weight", "blk.0.ffn_down.weight" })
        {
            tensors.Add((name + ".in_sum2", GgmlType.F32, [Embd, 1]));
            tensors.Add((name + ".counts", GgmlType.F32, [1, 1]));
        }
        return Write(metadata, tensors);
    }

    private static GgufMetadata ModelMetadata()
    {
        GgufMetadata metadata = new("model");
        metadata.Set("general.architecture", GgufValue.Of("llama"));
        metadata.Set("general.name", GgufValue.Of("seed"));
        metadata.Set("llama.block_count", GgufValue.Of(1u));
        metadata.Set("llama.context_length", GgufValue.Of(64u));
        metadata.Set("llama.embedding_length", GgufValue.Of((uint)Embd));
        metadata.Set("llama.feed_forward_length", GgufValue.Of((uint)Embd));
        metadata.Set("llama.attention.head_count", GgufValue.Of(2u));
        metadata.Set("llama.attention.head_count_kv", GgufValue.Of(2u));
        metadata.Set("llama.attention.layer_norm_rms_epsilon", GgufValue.Of(1e-5f));
        metadata.Set("llama.rope.dimension_count", GgufValue.Of(16u));
        metadata.Set("llama.rope.freq_base", GgufValue.Of(10000f));
        string[] pieces =
        [
            "<unk>",
            "<s>",
            "</s>",
            .. Enumerable.Range(0, 256).Select(i => $"<0x{i:X2}>"),
            .. Enumerable.Range(0, 26).Select(i => $"{(char)('a' + i)}"),
        ];
        metadata.Set("tokenizer.ggml.model", GgufValue.Of("llama"));
        metadata.Set("tokenizer.ggml.tokens", GgufValue.Of(pieces));
        metadata.Set("tokenizer.ggml.scores", GgufValue.Of(new float[Vocabulary]));
        metadata.Set(
            "tokenizer.ggml.token_type",
            GgufValue.Of([
                .. Enumerable
                    .Range(0, Vocabulary)
                    .Select(i =>
                        i switch
                        {
                            0 => 2,
                            < 3 => 3,
                            < 259 => 6,
                            _ => 1,
                        }
                    ),
            ])
        );
        metadata.Set("tokenizer.ggml.bos_token_id", GgufValue.Of(1u));
        metadata.Set("tokenizer.ggml.eos_token_id", GgufValue.Of(2u));
        metadata.Set("tokenizer.ggml.add_bos_token", GgufValue.Of(true));
        metadata.Set(
            "tokenizer.chat_template",
            GgufValue.Of("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}")
        );
        return metadata;
    }

    private static List<(string Name, GgmlType Type, long[] Shape)> ModelTensors() =>
        [
            ("token_embd.weight", GgmlType.Q8_0, [Embd, Vocabulary]),
            ("blk.0.attn_norm.weight", GgmlType.F32, [Embd]),
            ("blk.0.attn_q.weight", GgmlType.Q4_0, [Embd, Embd]),
            ("blk.0.attn_k.weight", GgmlType.Q8_0, [Embd, Embd]),
            ("blk.0.attn_v.weight", GgmlType.F16, [Embd, Embd]),
            ("blk.0.attn_output.weight", GgmlType.Q4_1, [Embd, Embd]),
            ("blk.0.ffn_norm.weight", GgmlType.F32, [Embd]),
            ("blk.0.ffn_gate.weight", GgmlType.Q5_0, [Embd, Embd]),
            ("blk.0.ffn_up.weight", GgmlType.Q4_0, [Embd, Embd]),
            ("blk.0.ffn_down.weight", GgmlType.IQ4_NL, [Embd, Embd]),
            ("output_norm.weight", GgmlType.F32, [Embd]),
        ];

    private static byte[] Write(
        GgufMetadata metadata,
        IReadOnlyList<(string Name, GgmlType Type, long[] Shape)> tensors
    )
    {
        var path = Path.GetTempFileName();
        try
        {
            using (GgufWriter writer = new(path, metadata, overwrite: true))
            {
                foreach (var (name, type, shape) in tensors)
                {
                    writer.AddTensor(name, type, shape);
                }
                foreach (var (name, type, shape) in tensors)
                {
                    var rows = shape.Skip(1).Aggregate(1L, (a, b) => a * b);
                    var bytes = new byte[GgmlTypes.RowBytes(type, shape[0]) * rows];
                    if (type == GgmlType.F32)
                    {
                        MemoryMarshal.Cast<byte, float>(bytes.AsSpan()).Fill(0.5f);
                    }
                    writer.Write(name, bytes);
                }
                writer.Complete();
            }
            return File.ReadAllBytes(path);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
