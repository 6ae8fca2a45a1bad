using System;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Slimming.Interop;

[NativeTypeName("unsigned int")]
internal enum slm_status : uint
{
    SLM_STATUS_OK = 0,
    SLM_STATUS_INVALID_ARGUMENT = 1,
    SLM_STATUS_UNSUPPORTED = 2,
    SLM_STATUS_OUT_OF_MEMORY = 3,
    SLM_STATUS_NONFINITE = 4,
    SLM_STATUS_CANCELLED = 5,
    SLM_STATUS_INTERNAL = 6,
    SLM_STATUS_DATA_LOST = 7,
}

[NativeTypeName("unsigned int")]
internal enum slm_isa : uint
{
    SLM_ISA_SCALAR = 0,
    SLM_ISA_AVX2 = 1,
    SLM_ISA_AVX512 = 2,
    SLM_ISA_AVX512_BF16 = 3,
    SLM_ISA_AVX512_VNNI = 4,
    SLM_ISA_AVX_VNNI = 5,
    SLM_ISA_NEON = 6,
    SLM_ISA_NEON_BF16 = 7,
    SLM_ISA_AMX_BF16 = 8,
}

[NativeTypeName("unsigned int")]
internal enum slm_cpu_feature : uint
{
    SLM_CPU_FEATURE_AVX2 = 1,
    SLM_CPU_FEATURE_FMA = 2,
    SLM_CPU_FEATURE_F16C = 4,
    SLM_CPU_FEATURE_AVX512 = 8,
    SLM_CPU_FEATURE_AVX512_VNNI = 16,
    SLM_CPU_FEATURE_AVX512_BF16 = 32,
    SLM_CPU_FEATURE_AVX_VNNI = 64,
    SLM_CPU_FEATURE_AMX_BF16 = 128,
    SLM_CPU_FEATURE_NEON = 256,
    SLM_CPU_FEATURE_NEON_BF16 = 512,
    SLM_CPU_FEATURE_NEON_I8MM = 1024,
}

[NativeTypeName("unsigned int")]
internal enum slm_rope_type : uint
{
    SLM_ROPE_TYPE_PAIRS = 0,
    SLM_ROPE_TYPE_NEOX = 2,
}

[NativeTypeName("unsigned int")]
internal enum slm_activation : uint
{
    SLM_ACTIVATION_SILU = 0,
    SLM_ACTIVATION_GELU_TANH = 1,
}

[NativeTypeName("unsigned int")]
internal enum slm_compute : uint
{
    SLM_COMPUTE_F32 = 1,
    SLM_COMPUTE_BF16 = 2,
    SLM_COMPUTE_INT8 = 3,
}

[NativeTypeName("unsigned int")]
internal enum slm_method : uint
{
    SLM_METHOD_LORA = 1,
    SLM_METHOD_FULL = 2,
}

[NativeTypeName("unsigned int")]
internal enum slm_target : uint
{
    SLM_TARGET_ATTN_Q = 1,
    SLM_TARGET_ATTN_K = 2,
    SLM_TARGET_ATTN_V = 4,
    SLM_TARGET_ATTN_OUTPUT = 8,
    SLM_TARGET_FFN_GATE = 16,
    SLM_TARGET_FFN_UP = 32,
    SLM_TARGET_FFN_DOWN = 64,
}

[NativeTypeName("unsigned int")]
internal enum slm_block : uint
{
    SLM_BLOCK_PARAMETERS = 0,
    SLM_BLOCK_GRADIENTS = 1,
    SLM_BLOCK_MOMENT1 = 2,
    SLM_BLOCK_MOMENT2 = 3,
}

[NativeTypeName("unsigned int")]
internal enum slm_phase : uint
{
    SLM_PHASE_FORWARD = 0,
    SLM_PHASE_BACKWARD = 1,
    SLM_PHASE_ATTENTION = 2,
    SLM_PHASE_HEAD = 3,
    SLM_PHASE_ADAPTER = 4,
    SLM_PHASE_OPTIMIZER = 5,
}

[NativeTypeName("unsigned int")]
internal enum slm_struct : uint
{
    SLM_STRUCT_RUNTIME_PARAMS = 0,
    SLM_STRUCT_RUNTIME_INFO = 1,
    SLM_STRUCT_TENSOR = 2,
    SLM_STRUCT_MODEL_PARAMS = 3,
    SLM_STRUCT_ADAPTER_PARAMS = 4,
    SLM_STRUCT_TRAINABLE = 5,
    SLM_STRUCT_CONTEXT_PARAMS = 6,
    SLM_STRUCT_PLAN = 7,
    SLM_STRUCT_BATCH = 8,
    SLM_STRUCT_STEP_PARAMS = 9,
    SLM_STRUCT_STEP_RESULT = 10,
    SLM_STRUCT_SELF_CHECK = 11,
    SLM_STRUCT_PROFILE = 12,
    SLM_STRUCT_TRACE_EVENT = 13,
}

internal partial struct slm_runtime
{
}

internal partial struct slm_model
{
}

internal partial struct slm_adapter
{
}

internal partial struct slm_context
{
}

internal partial struct slm_runtime_params
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("int32_t")]
    public int n_threads;

    [NativeTypeName("int32_t")]
    public int reserved;
}

internal partial struct slm_runtime_info
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("int32_t")]
    public int n_threads;

    [NativeTypeName("uint32_t")]
    public uint isa;

    [NativeTypeName("uint32_t")]
    public uint cpu_features;

    [NativeTypeName("uint32_t")]
    public uint levels;

    [NativeTypeName("uint32_t")]
    public uint offered;

    [NativeTypeName("uint32_t")]
    public uint reserved;

    [NativeTypeName("char[64]")]
    public _cpu_name_e__FixedBuffer cpu_name;

    [NativeTypeName("char[32]")]
    public _version_e__FixedBuffer version;

    [InlineArray(64)]
    public partial struct _cpu_name_e__FixedBuffer
    {
        public sbyte e0;
    }

    [InlineArray(32)]
    public partial struct _version_e__FixedBuffer
    {
        public sbyte e0;
    }
}

internal unsafe partial struct slm_tensor
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("const char *")]
    public sbyte* name;

    [NativeTypeName("uint32_t")]
    public uint type;

    [NativeTypeName("uint32_t")]
    public uint n_dims;

    [NativeTypeName("int64_t[4]")]
    public _ne_e__FixedBuffer ne;

    [NativeTypeName("const void *")]
    public void* data;

    [NativeTypeName("uint64_t")]
    public ulong n_bytes;

    [InlineArray(4)]
    public partial struct _ne_e__FixedBuffer
    {
        public long e0;
    }
}

internal unsafe partial struct slm_model_params
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("const char *")]
    public sbyte* architecture;

    [NativeTypeName("int32_t")]
    public int n_layer;

    [NativeTypeName("int32_t")]
    public int n_embd;

    [NativeTypeName("int32_t")]
    public int n_head;

    [NativeTypeName("int32_t")]
    public int n_head_kv;

    [NativeTypeName("int32_t")]
    public int n_embd_head;

    [NativeTypeName("int32_t")]
    public int n_ff;

    [NativeTypeName("int32_t")]
    public int n_vocab;

    [NativeTypeName("int32_t")]
    public int n_rot;

    [NativeTypeName("uint32_t")]
    public uint rope_type;

    [NativeTypeName("uint32_t")]
    public uint activation;

    [NativeTypeName("int32_t")]
    public int sliding_window;

    [NativeTypeName("int32_t")]
    public int sliding_pattern;

    public float norm_rms_epsilon;

    public float rope_freq_base;

    public float rope_freq_base_local;

    public float rope_freq_scale;

    public float embedding_scale;

    public float attention_scale;

    public float attn_logit_softcap;

    public float final_logit_softcap;
}

internal partial struct slm_adapter_params
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("uint32_t")]
    public uint method;

    [NativeTypeName("uint32_t")]
    public uint targets;

    [NativeTypeName("int32_t")]
    public int rank;

    public float scale;

    public float dropout;

    [NativeTypeName("uint32_t")]
    public uint reserved;

    [NativeTypeName("uint64_t")]
    public ulong seed;
}

internal partial struct slm_trainable
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("char[128]")]
    public _name_e__FixedBuffer name;

    [NativeTypeName("int64_t[2]")]
    public _ne_e__FixedBuffer ne;

    [NativeTypeName("uint32_t")]
    public uint n_dims;

    [NativeTypeName("uint32_t")]
    public uint is_norm_or_bias;

    [NativeTypeName("uint64_t")]
    public ulong offset;

    [NativeTypeName("uint64_t")]
    public ulong n_values;

    [InlineArray(128)]
    public partial struct _name_e__FixedBuffer
    {
        public sbyte e0;
    }

    [InlineArray(2)]
    public partial struct _ne_e__FixedBuffer
    {
        public long e0;
    }
}

internal partial struct slm_context_params
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("int32_t")]
    public int micro_batch_tokens;

    [NativeTypeName("int32_t")]
    public int max_sequence_tokens;

    [NativeTypeName("uint32_t")]
    public uint compute;

    [NativeTypeName("uint32_t")]
    public uint training;

    [NativeTypeName("int32_t")]
    public int logit_rows;

    [NativeTypeName("int32_t")]
    public int reserved;

    [NativeTypeName("uint64_t")]
    public ulong dropout_seed;
}

internal partial struct slm_plan
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("uint64_t")]
    public ulong weight_bytes;

    [NativeTypeName("uint64_t")]
    public ulong parameter_bytes;

    [NativeTypeName("uint64_t")]
    public ulong optimizer_bytes;

    [NativeTypeName("uint64_t")]
    public ulong activation_bytes;

    [NativeTypeName("uint64_t")]
    public ulong logit_bytes;

    [NativeTypeName("uint64_t")]
    public ulong pack_bytes;

    [NativeTypeName("uint64_t")]
    public ulong total_bytes;

    [NativeTypeName("int32_t")]
    public int fill_tokens;

    [NativeTypeName("int32_t")]
    public int reserved;

    public double flops_per_token;
}

internal unsafe partial struct slm_batch
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("int64_t")]
    public long n_tokens;

    [NativeTypeName("int64_t")]
    public long n_sequences;

    [NativeTypeName("const int32_t *")]
    public int* tokens;

    [NativeTypeName("const int32_t *")]
    public int* positions;

    [NativeTypeName("const int64_t *")]
    public long* offsets;

    [NativeTypeName("const int32_t *")]
    public int* targets;

    [NativeTypeName("const uint64_t *")]
    public ulong* sample_keys;

    [NativeTypeName("const int64_t *")]
    public long* parents;
}

internal partial struct slm_step_params
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("int64_t")]
    public long step;

    [NativeTypeName("int64_t")]
    public long n_targets;

    public double learning_rate;

    public double beta1;

    public double beta2;

    public double epsilon;

    public double weight_decay;

    public double max_grad_norm;

    [NativeTypeName("uint32_t")]
    public uint decay_norms;

    [NativeTypeName("uint32_t")]
    public uint reserved;
}

internal partial struct slm_step_result
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    public double grad_norm;

    public double clip;
}

internal partial struct slm_self_check
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("char[128]")]
    public _name_e__FixedBuffer name;

    [NativeTypeName("uint32_t")]
    public uint passed;

    [NativeTypeName("uint32_t")]
    public uint reserved;

    public double difference;

    public double tolerance;

    [InlineArray(128)]
    public partial struct _name_e__FixedBuffer
    {
        public sbyte e0;
    }
}

internal partial struct slm_profile
{
    [NativeTypeName("uint64_t")]
    public ulong size;

    [NativeTypeName("uint64_t[8]")]
    public _nanoseconds_e__FixedBuffer nanoseconds;

    [NativeTypeName("uint64_t[8]")]
    public _bytes_e__FixedBuffer bytes;

    [NativeTypeName("uint64_t[8]")]
    public _calls_e__FixedBuffer calls;

    [NativeTypeName("uint64_t")]
    public ulong n_events;

    [InlineArray(8)]
    public partial struct _nanoseconds_e__FixedBuffer
    {
        public ulong e0;
    }

    [InlineArray(8)]
    public partial struct _bytes_e__FixedBuffer
    {
        public ulong e0;
    }

    [InlineArray(8)]
    public partial struct _calls_e__FixedBuffer
    {
        public ulong e0;
    }
}

internal partial struct slm_trace_event
{
    [NativeTypeName("uint32_t")]
    public uint phase;

    [NativeTypeName("int32_t")]
    public int layer;

    [NativeTypeName("uint64_t")]
    public ulong begin_ns;

    [NativeTypeName("uint64_t")]
    public ulong end_ns;
}

internal static unsafe partial class SlimmingNative
{
    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    [return: NativeTypeName("uint32_t")]
    internal static extern uint slm_abi_version();

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    [return: NativeTypeName("uint64_t")]
    internal static extern ulong slm_sizeof([NativeTypeName("uint32_t")] uint id);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern void slm_guard_mappings();

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    [return: NativeTypeName("uint64_t")]
    internal static extern ulong slm_lost_pages();

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_runtime_create([NativeTypeName("const slm_runtime_params *")] slm_runtime_params* @params, slm_runtime** @out, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern void slm_runtime_free(slm_runtime* runtime);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_runtime_get_info([NativeTypeName("const slm_runtime *")] slm_runtime* runtime, slm_runtime_info* @out, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_runtime_self_check(slm_runtime* runtime, [NativeTypeName("int32_t")] int index, slm_self_check* @out, [NativeTypeName("int32_t *")] int* n_checks, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_dequantize([NativeTypeName("uint32_t")] uint type, [NativeTypeName("const void *")] void* data, [NativeTypeName("uint64_t")] ulong n_bytes, float* @out, [NativeTypeName("int64_t")] long n_values, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_model_create(slm_runtime* runtime, [NativeTypeName("const slm_model_params *")] slm_model_params* @params, [NativeTypeName("const slm_tensor *")] slm_tensor* tensors, [NativeTypeName("int64_t")] long n_tensors, slm_model** @out, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern void slm_model_free(slm_model* model);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_adapter_create(slm_model* model, [NativeTypeName("const slm_adapter_params *")] slm_adapter_params* @params, slm_adapter** @out, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern void slm_adapter_free(slm_adapter* adapter);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_adapter_get_count([NativeTypeName("const slm_adapter *")] slm_adapter* adapter, [NativeTypeName("int64_t *")] long* n_tensors, [NativeTypeName("uint64_t *")] ulong* n_values, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_adapter_get_trainable([NativeTypeName("const slm_adapter *")] slm_adapter* adapter, [NativeTypeName("int64_t")] long index, slm_trainable* @out, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_adapter_get_parameters(slm_adapter* adapter, float** data, [NativeTypeName("uint64_t *")] ulong* n_values, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_adapter_merge_weight([NativeTypeName("const slm_adapter *")] slm_adapter* adapter, [NativeTypeName("const char *")] sbyte* name, float* @out, [NativeTypeName("int64_t")] long n_values, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_context_plan(slm_model* model, slm_adapter* adapter, [NativeTypeName("const slm_context_params *")] slm_context_params* @params, slm_plan* @out, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_context_create(slm_model* model, slm_adapter* adapter, [NativeTypeName("const slm_context_params *")] slm_context_params* @params, slm_context** @out, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern void slm_context_free(slm_context* context);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_context_get_block(slm_context* context, [NativeTypeName("uint32_t")] uint block, float** data, [NativeTypeName("uint64_t *")] ulong* n_values, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_context_accumulate(slm_context* context, [NativeTypeName("const slm_batch *")] slm_batch* batch, double* losses, [NativeTypeName("int64_t *")] long* n_targets, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_context_evaluate(slm_context* context, [NativeTypeName("const slm_batch *")] slm_batch* batch, double* losses, [NativeTypeName("int64_t *")] long* n_targets, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_context_logits(slm_context* context, [NativeTypeName("const slm_batch *")] slm_batch* batch, [NativeTypeName("const int64_t *")] long* rows, [NativeTypeName("int64_t")] long n_rows, float* @out, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_context_score(slm_context* context, [NativeTypeName("const slm_batch *")] slm_batch* batch, [NativeTypeName("const int64_t *")] long* rows, [NativeTypeName("const int32_t *")] int* targets, [NativeTypeName("int64_t")] long n, double* logprobs, [NativeTypeName("int32_t *")] int* tops, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_context_step(slm_context* context, [NativeTypeName("const slm_step_params *")] slm_step_params* @params, slm_step_result* @out, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_context_get_profile([NativeTypeName("const slm_context *")] slm_context* context, slm_profile* @out, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern slm_status slm_context_trace(slm_context* context, slm_trace_event* events, [NativeTypeName("uint64_t")] ulong capacity, [NativeTypeName("char *")] sbyte* error, [NativeTypeName("size_t")] nuint error_capacity);

    [DllImport("slimming", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    internal static extern void slm_context_cancel(slm_context* context, [NativeTypeName("int32_t")] int on);

    [NativeTypeName("#define SLM_ABI_VERSION 4u")]
    public const uint SLM_ABI_VERSION = 4U;

    [NativeTypeName("#define SLM_MAX_NAME 128")]
    public const int SLM_MAX_NAME = 128;
}

/// <summary>Defines the type of a member as it was used in the native signature.</summary>
[AttributeUsage(AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Property | AttributeTargets.Field | AttributeTargets.Parameter | AttributeTargets.ReturnValue, AllowMultiple = false, Inherited = true)]
[Conditional("DEBUG")]
internal sealed partial class NativeTypeNameAttribute : Attribute
{
    private readonly string _name;

    /// <summary>Initializes a new instance of the <see cref="NativeTypeNameAttribute" /> class.</summary>
    /// <param name="name">The name of the type that was used in the native signature.</param>
    public NativeTypeNameAttribute(string name)
    {
        _name = name;
    }

    /// <summary>Gets the name of the type that was used in the native signature.</summary>
    public string Name => _name;
}

/// <summary>Defines the annotation found in a native declaration.</summary>
[AttributeUsage(AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Property | AttributeTargets.Field | AttributeTargets.Parameter | AttributeTargets.ReturnValue, AllowMultiple = true, Inherited = false)]
[Conditional("DEBUG")]
internal sealed partial class NativeAnnotationAttribute : Attribute
{
    private readonly string _annotation;

    /// <summary>Initializes a new instance of the <see cref="NativeAnnotationAttribute" /> class.</summary>
    /// <param name="annotation">The annotation that was used in the native declaration.</param>
    public NativeAnnotationAttribute(string annotation)
    {
        _annotation = annotation;
    }

    /// <summary>Gets the annotation that was used in the native declaration.</summary>
    public string Annotation => _annotation;
}
