using System.Runtime.InteropServices;
using Slimming.Gguf;

namespace Slimming.Interop.Tests;

/// <summary>A llama of two layers with seeded f32 weights, kept in unmanaged memory.</summary>
internal sealed unsafe class TinyModel : IDisposable
{
    private readonly List<nint> _memory = [];
    private readonly Random _random = new(7);

    public const int Vocabulary = 40;

    public static ModelParams Parameters { get; } =
        new()
        {
            Architecture = "llama",
            NLayer = 2,
            NEmbd = 32,
            NHead = 4,
            NHeadKv = 2,
            NEmbdHead = 8,
            NFf = 48,
            NVocab = Vocabulary,
            NRot = 8,
            NormRmsEpsilon = 1e-5f,
            RopeFreqBase = 10_000,
            AttentionScale = 1 / MathF.Sqrt(8),
        };

    public List<NativeTensor> Tensors { get; } = [];

    public bool IsDisposed { get; private set; }

    public TinyModel()
    {
        Add("token_embd.weight", 32, Vocabulary);
        Add("output_norm.weight", 32);
        for (var layer = 0; layer < 2; layer++)
        {
            Add($"blk.{layer}.attn_norm.weight", 32);
            Add($"blk.{layer}.attn_q.weight", 32, 32);
            Add($"blk.{layer}.attn_k.weight", 32, 16);
            Add($"blk.{layer}.attn_v.weight", 32, 16);
            Add($"blk.{layer}.attn_output.weight", 32, 32);
            Add($"blk.{layer}.ffn_norm.weight", 32);
            Add($"blk.{layer}.ffn_gate.weight", 32, 48);
            Add($"blk.{layer}.ffn_up.weight", 32, 48);
            Add($"blk.{layer}.ffn_down.weight", 48, 32);
        }
    }

    /// <summary>Frees the weights; the native model that owns this must be gone by then.</summary>
    public void Dispose()
    {
        _memory.ForEach(p => NativeMemory.AlignedFree((void*)p));
        _memory.Clear();
        IsDisposed = true;
    }

    private void Add(string name, params long[] ne)
    {
        var count = ne.Aggregate(1L, (a, b) => a * b);
        var values = (float*)NativeMemory.AlignedAlloc((nuint)count * 4, 64);
        _memory.Add((nint)values);
        for (var i = 0; i < count; i++)
        {
            values[i] = (ne.Length == 1 ? 1 : 0) + 0.2f * (_random.NextSingle() - 0.5f);
        }
        Tensors.Add(new NativeTensor(name, GgmlType.F32, ne, (nint)values, count * 4));
    }
}
