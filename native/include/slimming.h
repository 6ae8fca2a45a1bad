/* slimming.h: the C interface of libslimming, which trains and evaluates adapters on quantized weights.
 *
 * The library opens no file: the caller maps a GGUF file, checks it, and hands over named tensors.
 * Conventions
 *  - Every function that can fail returns slm_status and takes (error, error_capacity) last: a caller-owned buffer that
 *    receives a NUL-terminated UTF-8 text (truncated to fit) whenever the status is not SLM_STATUS_OK. NULL/0 is
 * allowed.
 *  - Every params/info struct begins with `size`, set by the caller to sizeof(the struct).
 *  - Matrices are row-major; ne[0] is the length of a row (GGUF order).
 *  - Objects may be used from one thread at a time; slm_context_cancel alone may be called from any thread.
 *  - A child keeps its parent alive: a model its runtime, an adapter its model, a context its model and adapter, in
 *    any order of freeing. Tensor data handed to slm_model_create is borrowed and must outlive the model.
 */
#ifndef SLIMMING_H
#define SLIMMING_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define SLM_API __declspec(dllexport)
#else
#define SLM_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SLM_ABI_VERSION 4u
#define SLM_MAX_NAME 128

typedef enum slm_status {
    SLM_STATUS_OK = 0,
    SLM_STATUS_INVALID_ARGUMENT = 1, /* a value, shape, name or state that the call does not accept */
    SLM_STATUS_UNSUPPORTED = 2,      /* a tensor type, architecture or mode that this build cannot run */
    SLM_STATUS_OUT_OF_MEMORY = 3,
    SLM_STATUS_NONFINITE = 4, /* NaN or Inf in a weight, loss or gradient; nothing was applied */
    SLM_STATUS_CANCELLED = 5,
    SLM_STATUS_INTERNAL = 6,
    SLM_STATUS_DATA_LOST = 7 /* pages of a mapped file are gone, see slm_guard_mappings; nothing was applied */
} slm_status;

typedef enum slm_isa {
    SLM_ISA_SCALAR = 0,
    SLM_ISA_AVX2 = 1,
    SLM_ISA_AVX512 = 2,
    SLM_ISA_AVX512_BF16 = 3, /* AVX-512 with integer dot products and bf16 products */
    SLM_ISA_AVX512_VNNI = 4, /* AVX-512 with integer dot products */
    SLM_ISA_AVX_VNNI = 5,    /* AVX2 with integer dot products */
    SLM_ISA_NEON = 6,        /* AArch64's baseline */
    SLM_ISA_NEON_BF16 = 7,   /* NEON with bf16 and mixed-sign integer dot products */
    SLM_ISA_AMX_BF16 = 8     /* SLM_ISA_AVX512_BF16 with the bf16 products on AMX tiles */
} slm_isa;

/* Bits of slm_runtime_info.cpu_features: what the processor reports and the operating system has enabled. */
typedef enum slm_cpu_feature {
    SLM_CPU_FEATURE_AVX2 = 1,
    SLM_CPU_FEATURE_FMA = 2,
    SLM_CPU_FEATURE_F16C = 4,
    SLM_CPU_FEATURE_AVX512 = 8, /* F, DQ, BW and VL together */
    SLM_CPU_FEATURE_AVX512_VNNI = 16,
    SLM_CPU_FEATURE_AVX512_BF16 = 32,
    SLM_CPU_FEATURE_AVX_VNNI = 64,
    SLM_CPU_FEATURE_AMX_BF16 = 128, /* with tiles of 16 rows x 64 bytes, granted to the process */
    SLM_CPU_FEATURE_NEON = 256,
    SLM_CPU_FEATURE_NEON_BF16 = 512,
    SLM_CPU_FEATURE_NEON_I8MM = 1024
} slm_cpu_feature;

typedef enum slm_rope_type {
    SLM_ROPE_TYPE_PAIRS = 0, /* rotates neighbours (2i, 2i+1): arch llama in GGUF row order */
    SLM_ROPE_TYPE_NEOX = 2   /* rotates halves (i, i + n_rot/2) */
} slm_rope_type;

typedef enum slm_activation { SLM_ACTIVATION_SILU = 0, SLM_ACTIVATION_GELU_TANH = 1 } slm_activation;

typedef enum slm_compute { SLM_COMPUTE_F32 = 1, SLM_COMPUTE_BF16 = 2, SLM_COMPUTE_INT8 = 3 } slm_compute;

typedef enum slm_method { SLM_METHOD_LORA = 1, SLM_METHOD_FULL = 2 } slm_method;

/* Bits of slm_adapter_params.targets: blk.N.<name>.weight. */
typedef enum slm_target {
    SLM_TARGET_ATTN_Q = 1,
    SLM_TARGET_ATTN_K = 2,
    SLM_TARGET_ATTN_V = 4,
    SLM_TARGET_ATTN_OUTPUT = 8,
    SLM_TARGET_FFN_GATE = 16,
    SLM_TARGET_FFN_UP = 32,
    SLM_TARGET_FFN_DOWN = 64
} slm_target;

typedef enum slm_block {
    SLM_BLOCK_PARAMETERS = 0,
    SLM_BLOCK_GRADIENTS = 1, /* sums over targets, not yet divided by their count */
    SLM_BLOCK_MOMENT1 = 2,   /* AdamW's m */
    SLM_BLOCK_MOMENT2 = 3    /* AdamW's v */
} slm_block;

/* Where a context's time goes; each is without the ones that ran inside it. */
typedef enum slm_phase {
    SLM_PHASE_FORWARD = 0,   /* base products, norms, gates of the forward */
    SLM_PHASE_BACKWARD = 1,  /* the same of the backward, recomputation included */
    SLM_PHASE_ATTENTION = 2, /* both directions */
    SLM_PHASE_HEAD = 3,      /* logits, loss and their backward */
    SLM_PHASE_ADAPTER = 4,   /* the method's own products and gradients */
    SLM_PHASE_OPTIMIZER = 5
} slm_phase;

/* Structs that slm_sizeof knows. */
typedef enum slm_struct {
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
    SLM_STRUCT_TRACE_EVENT = 13
} slm_struct;

typedef struct slm_runtime slm_runtime;
typedef struct slm_model slm_model;
typedef struct slm_adapter slm_adapter;
typedef struct slm_context slm_context;

typedef struct slm_runtime_params {
    uint64_t size;
    int32_t n_threads; /* 0: one per usable core */
    int32_t reserved;
} slm_runtime_params;

typedef struct slm_runtime_info {
    uint64_t size;
    int32_t n_threads;
    uint32_t isa;          /* slm_isa in use; the environment's SLM_ISA names a lesser one */
    uint32_t cpu_features; /* slm_cpu_feature bits */
    uint32_t levels;       /* bit 1 << slm_isa: kernels in this library */
    uint32_t offered;      /* those of them that run here: features are there, products proven where that is needed */
    uint32_t reserved;
    char cpu_name[64];
    char version[32]; /* of the library */
} slm_runtime_info;

typedef struct slm_tensor {
    uint64_t size;
    const char *name; /* GGUF tensor name; copied */
    uint32_t type;    /* ggml_type number */
    uint32_t n_dims;
    int64_t ne[4];    /* unused dimensions 1 */
    const void *data; /* borrowed */
    uint64_t n_bytes;
} slm_tensor;

/* What a decoder is. The caller fills it from the file's `<arch>.*` keys. 0 means "not used" where said. */
typedef struct slm_model_params {
    uint64_t size;
    const char *architecture; /* general.architecture; copied */
    int32_t n_layer;
    int32_t n_embd;
    int32_t n_head;
    int32_t n_head_kv;
    int32_t n_embd_head; /* attention.key_length, else n_embd / n_head */
    int32_t n_ff;
    int32_t n_vocab;
    int32_t n_rot;           /* rope.dimension_count, else n_embd_head */
    uint32_t rope_type;      /* slm_rope_type */
    uint32_t activation;     /* slm_activation */
    int32_t sliding_window;  /* keys a query sees, itself included; 0: all */
    int32_t sliding_pattern; /* layer il is full where il % n == n-1; 0: every layer windowed when there is a window */
    float norm_rms_epsilon;
    float rope_freq_base;
    float rope_freq_base_local; /* base of windowed layers; 0: rope_freq_base */
    float rope_freq_scale;      /* angles of full layers are multiplied by it; 1: none */
    float embedding_scale;      /* 1: none */
    float attention_scale;      /* usually 1/sqrt(n_embd_head) */
    float attn_logit_softcap;   /* 0: none */
    float final_logit_softcap;  /* 0: none */
} slm_model_params;

typedef struct slm_adapter_params {
    uint64_t size;
    uint32_t method;  /* slm_method */
    uint32_t targets; /* slm_target bits (LoRA) */
    int32_t rank;     /* LoRA r >= 1 */
    float scale;      /* LoRA: alpha/r, or alpha/sqrt(r) for rsLoRA */
    float dropout;    /* LoRA: share of inputs dropped, in [0, 1) */
    uint32_t reserved;
    uint64_t seed; /* lora_a ~ U(-1/sqrt(n_in), 1/sqrt(n_in)) keyed by (seed, tensor name); lora_b = 0 */
} slm_adapter_params;

/* One trainable tensor: a slice of the contiguous f32 parameter block. */
typedef struct slm_trainable {
    uint64_t size;
    char name[SLM_MAX_NAME]; /* LoRA: <base tensor>.lora_a / .lora_b; full: the base tensor's name */
    int64_t ne[2];           /* ne[0] = row length; 1-D tensors have ne[1] = 1 */
    uint32_t n_dims;
    uint32_t is_norm_or_bias; /* 1: weight decay leaves it alone unless asked */
    uint64_t offset;          /* in values, into every block */
    uint64_t n_values;
} slm_trainable;

typedef struct slm_context_params {
    uint64_t size;
    int32_t micro_batch_tokens;  /* most rows computed together, longer single sequences excepted; in training
                                  * several sequences fill at most slm_plan.fill_tokens of them */
    int32_t max_sequence_tokens; /* longest sequence that will come */
    uint32_t compute;            /* slm_compute */
    uint32_t training;           /* 0: only evaluate and logits; no gradient, moments or kept activations */
    int32_t logit_rows;          /* rows of [rows, n_vocab] made at once; 0: 256 */
    int32_t reserved;
    uint64_t dropout_seed;
} slm_context_params;

/* Bytes a context and its adapter allocate; base weights stay in the caller's mapping. */
typedef struct slm_plan {
    uint64_t size;
    uint64_t weight_bytes;     /* the caller's tensors */
    uint64_t parameter_bytes;  /* trainable parameters, f32 */
    uint64_t optimizer_bytes;  /* gradients and two moments, f32 */
    uint64_t activation_bytes; /* kept activations and work space of the largest micro-batch */
    uint64_t logit_bytes;      /* what rows of logits add: they lie over work space that is idle meanwhile */
    uint64_t pack_bytes;       /* unpacked weight panels, all threads */
    uint64_t total_bytes;      /* all but weight_bytes */
    int32_t fill_tokens;       /* micro-batches are best filled up to this many tokens: nothing is recomputed there */
    int32_t reserved;
    double flops_per_token; /* forward and backward, without attention scores */
} slm_plan;

/* A packed micro-batch: whole sequences laid end to end; attention never crosses a sequence, except that a sequence
 * with a parent goes on from the parent's last token and sees all that the parent sees: what several begin with is
 * computed once. Parents are for calls without a backward. */
typedef struct slm_batch {
    uint64_t size;
    int64_t n_tokens;            /* T */
    int64_t n_sequences;         /* S */
    const int32_t *tokens;       /* [T] */
    const int32_t *positions;    /* [T] or NULL: 0, 1, ... from the start of each sequence, of its first ancestor */
    const int64_t *offsets;      /* [S+1], offsets[0] = 0, offsets[S] = T */
    const int32_t *targets;      /* [T] id predicted at the position, -1: no loss */
    const uint64_t *sample_keys; /* [S] key of the sample's random draws, or NULL: 0, 1, ... */
    const int64_t *parents;      /* [S] an earlier sequence, -1: none; or NULL: none has one */
} slm_batch;

typedef struct slm_step_params {
    uint64_t size;
    int64_t step;      /* AdamW's t, from 1 */
    int64_t n_targets; /* of the whole accumulation window; gradients are divided by it once */
    double learning_rate;
    double beta1;
    double beta2;
    double epsilon;
    double weight_decay;
    double max_grad_norm; /* <= 0: no clipping */
    uint32_t decay_norms; /* 1: norms and biases decay too */
    uint32_t reserved;
} slm_step_params;

typedef struct slm_step_result {
    uint64_t size;
    double grad_norm; /* L2 over all trainables, after division, before clipping */
    double clip;      /* factor applied, <= 1 */
} slm_step_result;

typedef struct slm_self_check {
    uint64_t size;
    char name[SLM_MAX_NAME];
    uint32_t passed;
    uint32_t reserved;
    double difference; /* measured */
    double tolerance;
} slm_self_check;

/* Sums since the context was made, by slm_phase. */
typedef struct slm_profile {
    uint64_t size;
    uint64_t nanoseconds[8]; /* wall time */
    uint64_t bytes[8];       /* weights and values that products, attention and the optimizer read or wrote */
    uint64_t calls[8];
    uint64_t n_events; /* of the trace: recorded, and what did not fit */
} slm_profile;

/* One stretch of a phase, times of the monotonic clock. Stretches lie inside each other. */
typedef struct slm_trace_event {
    uint32_t phase; /* slm_phase */
    int32_t layer;  /* -1: none */
    uint64_t begin_ns;
    uint64_t end_ns;
} slm_trace_event;

/* ---- library ---- */
SLM_API uint32_t slm_abi_version(void);
SLM_API uint64_t slm_sizeof(uint32_t id); /* slm_struct; 0: unknown id */

/* ---- mapped files ---- */
/* From this call on a page of a mapped file that cannot be read (the file became shorter, its disk failed) reads as
 * zeros instead of ending the process with SIGBUS, and every function that can fail answers SLM_STATUS_DATA_LOST.
 * Process-wide and for good; other causes of SIGBUS go to the handler that was there. */
SLM_API void slm_guard_mappings(void);
/* Pages lost since. */
SLM_API uint64_t slm_lost_pages(void);

/* ---- runtime: threads and kernels ---- */
SLM_API slm_status slm_runtime_create(const slm_runtime_params *params, slm_runtime **out, char *error,
                                      size_t error_capacity);
SLM_API void slm_runtime_free(slm_runtime *runtime);
SLM_API slm_status slm_runtime_get_info(const slm_runtime *runtime, slm_runtime_info *out, char *error,
                                        size_t error_capacity);
/* Runs check `index` (0, 1, ...); *n_checks receives how many there are. */
SLM_API slm_status slm_runtime_self_check(slm_runtime *runtime, int32_t index, slm_self_check *out, int32_t *n_checks,
                                          char *error, size_t error_capacity);

/* ---- blocks ---- */
/* Dequantizes n_values of ggml_type `type`; n_values must be a multiple of the type's block. */
SLM_API slm_status slm_dequantize(uint32_t type, const void *data, uint64_t n_bytes, float *out, int64_t n_values,
                                  char *error, size_t error_capacity);

/* ---- model: const weights and a config ---- */
SLM_API slm_status slm_model_create(slm_runtime *runtime, const slm_model_params *params, const slm_tensor *tensors,
                                    int64_t n_tensors, slm_model **out, char *error, size_t error_capacity);
SLM_API void slm_model_free(slm_model *model);

/* ---- adapter: trainable tensors of one method on one model ---- */
SLM_API slm_status slm_adapter_create(slm_model *model, const slm_adapter_params *params, slm_adapter **out,
                                      char *error, size_t error_capacity);
SLM_API void slm_adapter_free(slm_adapter *adapter);
SLM_API slm_status slm_adapter_get_count(const slm_adapter *adapter, int64_t *n_tensors, uint64_t *n_values,
                                         char *error, size_t error_capacity);
SLM_API slm_status slm_adapter_get_trainable(const slm_adapter *adapter, int64_t index, slm_trainable *out, char *error,
                                             size_t error_capacity);
/* The parameter block, f32 [n_values], readable and writable; valid while the adapter lives. */
SLM_API slm_status slm_adapter_get_parameters(slm_adapter *adapter, float **data, uint64_t *n_values, char *error,
                                              size_t error_capacity);
/* Base weight `name` with the adapter folded in, dequantized: f32 [n_values] in the file's row order. */
SLM_API slm_status slm_adapter_merge_weight(const slm_adapter *adapter, const char *name, float *out, int64_t n_values,
                                            char *error, size_t error_capacity);

/* ---- context: work space, gradients and optimizer state ---- */
/* Sizes of the context that the same arguments would create; adapter may be NULL when training is 0. */
SLM_API slm_status slm_context_plan(slm_model *model, slm_adapter *adapter, const slm_context_params *params,
                                    slm_plan *out, char *error, size_t error_capacity);
SLM_API slm_status slm_context_create(slm_model *model, slm_adapter *adapter, const slm_context_params *params,
                                      slm_context **out, char *error, size_t error_capacity);
SLM_API void slm_context_free(slm_context *context);
/* Any of the four blocks (slm_block), f32 [n_values]; valid while the context lives. Gradients and moments need
 * training = 1. */
SLM_API slm_status slm_context_get_block(slm_context *context, uint32_t block, float **data, uint64_t *n_values,
                                         char *error, size_t error_capacity);
/* Forward and backward of one micro-batch. Gradients are added to the gradient block (+=), sequence by sequence in the
 * batch's order. losses[S] receives each sequence's summed cross entropy in nats, n_targets[S] its target count. */
SLM_API slm_status slm_context_accumulate(slm_context *context, const slm_batch *batch, double *losses,
                                          int64_t *n_targets, char *error, size_t error_capacity);
/* Forward only, without dropout. */
SLM_API slm_status slm_context_evaluate(slm_context *context, const slm_batch *batch, double *losses,
                                        int64_t *n_targets, char *error, size_t error_capacity);
/* Forward only; logits of the given token rows of the batch: out[n_rows, n_vocab]. */
SLM_API slm_status slm_context_logits(slm_context *context, const slm_batch *batch, const int64_t *rows, int64_t n_rows,
                                      float *out, char *error, size_t error_capacity);
/* Forward only; for i < n: logprobs[i] = log p(targets[i] | the tokens up to row rows[i]) in nats, tops[i] = the
 * likeliest id there, the first of equals. Rows ascend and may repeat. Logits that are not finite give NaN. */
SLM_API slm_status slm_context_score(slm_context *context, const slm_batch *batch, const int64_t *rows,
                                     const int32_t *targets, int64_t n, double *logprobs, int32_t *tops, char *error,
                                     size_t error_capacity);
/* Divides, measures, clips and applies AdamW, then zeroes the gradients. A non-finite norm applies nothing and keeps
 * the gradients (SLM_STATUS_NONFINITE). */
SLM_API slm_status slm_context_step(slm_context *context, const slm_step_params *params, slm_step_result *out,
                                    char *error, size_t error_capacity);
/* Time and bytes by phase so far; always counted. */
SLM_API slm_status slm_context_get_profile(const slm_context *context, slm_profile *out, char *error,
                                           size_t error_capacity);
/* From now on every stretch of a phase is written to events[capacity], which must stay until the next call or the
 * context's end; NULL and 0 stop it. Starts counting events anew. */
SLM_API slm_status slm_context_trace(slm_context *context, slm_trace_event *events, uint64_t capacity, char *error,
                                     size_t error_capacity);
/* Sets or clears the flag that running and later calls look at in every layer; callable from any thread. */
SLM_API void slm_context_cancel(slm_context *context, int32_t on);

#ifdef __cplusplus
}
#endif

#endif
