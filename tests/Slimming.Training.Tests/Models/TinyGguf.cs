using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.LlamaCpp;
using Slimming.TestSupport;

namespace Slimming.Training.Tests.Models;

/// <summary>Writes small llama files with seeded weights; a test may leave out, add or change keys and tensors.</summary>
internal sealed class TinyGguf
{
    public const int Embd = 64;
    public const int Vocabulary = 48;

    private readonly Random _random;

    public TinyGguf(GgmlType type = GgmlType.F32, int seed = 1, int nFf = 96)
    {
        _random = new Random(seed);
        Metadata = new GgufMetadata("tiny");
        Metadata.Set("general.architecture", GgufValue.Of("llama"));
        Metadata.Set("llama.block_count", GgufValue.Of(2u));
        Metadata.Set("llama.context_length", GgufValue.Of(128u));
        Metadata.Set("llama.embedding_length", GgufValue.Of((uint)Embd));
        Metadata.Set("llama.feed_forward_length", GgufValue.Of((uint)nFf));
        Metadata.Set("llama.attention.head_count", GgufValue.Of(4u));
        Metadata.Set("llama.attention.head_count_kv", GgufValue.Of(2u));
        Metadata.Set("llama.attention.layer_norm_rms_epsilon", GgufValue.Of(1e-5f));
        Metadata.Set("some.unknown.key", GgufValue.Of(["kept", "as it is"]));
        Add("token_embd.weight", type, Embd, Vocabulary);
        Add("output_norm.weight", GgmlType.F32, Embd);
        for (var layer = 0; layer < 2; layer++)
        {
            Add($"blk.{layer}.attn_norm.weight", GgmlType.F32, Embd);
            Add($"blk.{layer}.attn_q.weight", type, Embd, 64);
            Add($"blk.{layer}.attn_k.weight", type, Embd, 32);
            Add($"blk.{layer}.attn_v.weight", type, Embd, 32);
            Add($"blk.{layer}.attn_output.weight", type, 64, Embd);
            Add($"blk.{layer}.ffn_norm.weight", GgmlType.F32, Embd);
            Add($"blk.{layer}.ffn_gate.weight", type, Embd, nFf);
            Add($"blk.{layer}.ffn_up.weight", type, Embd, nFf);
            Add($"blk.{layer}.ffn_down.weight", type, nFf, Embd);
        }
    }

    public GgufMetadata Metadata { get; }

    public List<(string Name, GgmlType Type, long[] Shape, byte[] Bytes)> Tensors { get; } = [];

    public static string NewFolder() => ScratchFolder.New();

    public TinyGguf Add(string name, GgmlType type, params long[] shape)
    {
        var values = new float[shape.Aggregate(1L, (a, b) => a * b)];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = (shape.Length == 1 ? 1 : 0) + 0.3f * (_random.NextSingle() - 0.5f);
        }
        var bytes = new byte[GgmlTypes.RowBytes(type, shape[0]) * (values.Length / shape[0])];
        if (type == GgmlType.F32)
        {
            MemoryMarshal.AsBytes<float>(values).CopyTo(bytes);
        }
        else
        {
            Quantizer.Quantize(type, values, (int)shape[0], bytes);
        }
        Tensors.Add((name, type, shape, bytes));
        return this;
    }

    public TinyGguf Remove(string name)
    {
        Tensors.RemoveAll(t => t.Name == name);
        return this;
    }

    public TinyGguf Set(string key, GgufValue value)
    {
        Metadata.Set(key, value);
        return this;
    }

    public string Write(string? path = null)
    {
        path ??= Path.Combine(NewFolder(), "tiny.gguf");
        using var writer = new GgufWriter(path, Metadata, overwrite: true);
        foreach (var tensor in Tensors)
        {
            writer.AddTensor(tensor.Name, tensor.Type, tensor.Shape);
        }
        foreach (var tensor in Tensors)
        {
            writer.Write(tensor.Name, tensor.Bytes);
        }
        writer.Complete();
        return path;
    }
}
