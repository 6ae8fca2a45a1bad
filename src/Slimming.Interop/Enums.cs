namespace Slimming.Interop;

/// <summary>Instruction sets that the kernels are written for.</summary>
public enum Isa : uint
{
    Scalar = 0,
    Avx2 = 1,
    Avx512 = 2,

    /// <summary>AVX-512 with integer dot products and bf16 products.</summary>
    Avx512Bf16 = 3,

    /// <summary>AVX-512 with integer dot products.</summary>
    Avx512Vnni = 4,

    /// <summary>AVX2 with integer dot products.</summary>
    AvxVnni = 5,

    /// <summary>AArch64's baseline.</summary>
    Neon = 6,

    /// <summary>NEON with bf16 and mixed-sign integer dot products.</summary>
    NeonBf16 = 7,

    /// <summary><see cref="Avx512Bf16"/> with the bf16 products on AMX tiles.</summary>
    AmxBf16 = 8,
}

[Flags]
public enum CpuFeatures : uint
{
    None = 0,
    Avx2 = 1,
    Fma = 2,
    F16c = 4,

    /// <summary>F, DQ, BW and VL together.</summary>
    Avx512 = 8,
    Avx512Vnni = 16,
    Avx512Bf16 = 32,
    AvxVnni = 64,

    /// <summary>With tiles of 16 rows of 64 bytes, granted to the process.</summary>
    AmxBf16 = 128,
    Neon = 256,
    NeonBf16 = 512,
    NeonI8mm = 1024,
}

public enum RopeType : uint
{
    /// <summary>Rotates neighbours (2i, 2i+1): arch llama in GGUF row order.</summary>
    Pairs = 0,

    /// <summary>Rotates halves (i, i + n_rot/2).</summary>
    Neox = 2,
}

public enum Activation : uint
{
    Silu = 0,
    GeluTanh = 1,
}

public enum ComputeMode : uint
{
    F32 = 1,
    Bf16 = 2,
    Int8 = 3,
}

public enum TrainMethod : uint
{
    Lora = 1,
    Full = 2,
}

/// <summary>Linear layers that LoRA adapts.</summary>
[Flags]
public enum LoraTargets : uint
{
    None = 0,
    AttnQ = 1,
    AttnK = 2,
    AttnV = 4,
    AttnOutput = 8,
    FfnGate = 16,
    FfnUp = 32,
    FfnDown = 64,
    All = AttnQ | AttnK | AttnV | AttnOutput | FfnGate | FfnUp | FfnDown,
}

/// <summary>The contiguous f32 blocks of a context, all with the trainables' offsets.</summary>
public enum NativeBlock : uint
{
    Parameters = 0,

    /// <summary>Sums over targets, not yet divided by their count.</summary>
    Gradients = 1,

    /// <summary>AdamW's m.</summary>
    Moment1 = 2,

    /// <summary>AdamW's v.</summary>
    Moment2 = 3,
}

/// <summary>Where a context's time goes; each is without the ones that ran inside it.</summary>
public enum NativePhase : uint
{
    /// <summary>Base products, norms and gates.</summary>
    Forward = 0,

    /// <summary>The same of the backward, recomputation included.</summary>
    Backward = 1,

    /// <summary>Both directions.</summary>
    Attention = 2,

    /// <summary>Logits, loss and their backward.</summary>
    Head = 3,

    /// <summary>The method's own products and gradients.</summary>
    Adapter = 4,
    Optimizer = 5,
}
