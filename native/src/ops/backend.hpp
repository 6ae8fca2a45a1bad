// The operations a step is written in. A backend (CPU now, CUDA later) implements them; no operation knows who calls
// it, none allocates. Matrices are row-major f32; T counts token rows.
#pragma once

#include <cstdint>

#include "quant/quant.hpp"
#include "slimming.h"

namespace slm {

// A weight as it lies in its file: `rows` outputs by `columns` inputs of `type`.
struct Weight {
    const QuantType *type = nullptr;
    const void *data = nullptr;
    int64_t rows = 0;
    int64_t columns = 0;
};

// One summand x W^T of an output.
struct LinearTerm {
    const float *x = nullptr;  // [T, W.columns]
    int64_t ldx = 0;
    Weight w;
    bool exact = false;  // f32 in every compute mode: adapters
};

// y (=|+=) sum of terms (+ bias); all outputs of one call share T.
struct LinearOutput {
    float *y = nullptr;  // [T, rows]
    int64_t ldy = 0;
    LinearTerm terms[2];
    int n_terms = 1;
    const float *bias = nullptr;  // [rows] or nullptr
    bool add = false;
};

// One summand dy W of an input gradient.
struct LinearGradTerm {
    const float *dy = nullptr;  // [T, W.rows]
    int64_t lddy = 0;
    Weight w;
    bool exact = false;
};

// How the products with base weights are computed. Anything but f32 needs scratch for the rounded activations.
struct Precision {
    slm_compute compute = SLM_COMPUTE_F32;
    // precision_scratch() bytes. In linear_backward it may be the single term's own dy, which is then overwritten.
    void *scratch = nullptr;
};

// C[m, n] (=|+=) sum_k A(m, k) B(k, n), any strides.
struct MatrixView {
    const float *data;
    int64_t row_stride;
    int64_t column_stride;
};

// Packed sequences: tokens offsets[s] .. offsets[s+1] belong to sequence s.
struct Sequences {
    int64_t count = 0;
    const int64_t *offsets = nullptr;
    int64_t tokens() const { return offsets[count]; }
};

struct AttentionShape {
    int64_t n_head = 0, n_head_kv = 0, head_dim = 0;
    int64_t window = 0;  // keys a query sees, itself included; 0: all before it
    float scale = 0;
    float softcap = 0;  // 0: none
};

struct RopeTable {
    const float *cos = nullptr;  // [positions, n_rot/2]
    const float *sin = nullptr;
    int64_t n_rot = 0;
    slm_rope_type type = SLM_ROPE_TYPE_PAIRS;
};

class Backend {
 public:
    virtual ~Backend() = default;

    virtual bool supports(const Weight &w) const = 0;
    // Bytes of scratch that attention needs for sequences up to max_tokens; handed in by the caller.
    virtual int64_t attention_scratch(const AttentionShape &shape, int64_t max_tokens) const = 0;

    // Bytes for the rounded copies of all activations, `columns` together, that one call reads.
    virtual int64_t precision_scratch(slm_compute compute, int64_t T, int64_t columns) const = 0;

    // y_j (=|+=) sum_i x_ji W_ji^T + bias_j; outputs of one call read the same first x
    virtual void linear(int64_t T, const LinearOutput *outputs, int n_outputs, const Precision &precision = {}) = 0;
    // dx (=|+=) sum_i dy_i W_i; backward of `linear` towards its input
    virtual void linear_backward(int64_t T, const LinearGradTerm *terms, int n_terms, float *dx, int64_t lddx, bool add,
                                 const Precision &precision = {}) = 0;
    // c[m, n] (=|+=) a b; backward of `linear` towards a weight is dW[o, i] += dy^T x
    virtual void matmul(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, float *c, int64_t ldc,
                        bool add) = 0;

    // out[t, :] = scale * row ids[t] of w
    virtual void embedding(int64_t T, const int32_t *ids, const Weight &w, float scale, float *out) = 0;
    // dw[ids[t], :] += scale * dout[t, :], tokens in order
    virtual void embedding_backward(int64_t T, const int32_t *ids, int64_t columns, float scale, const float *dout,
                                    float *dw) = 0;

    // y[t, h, :] = g * x[t, h, :] / rms over groups of n values; x and y may be the same; rstd[T * groups]
    virtual void rms_norm(int64_t T, int64_t groups, int64_t n, float epsilon, const float *x, const float *g, float *y,
                          float *rstd) = 0;
    // dx += d rms_norm; dx must not alias dy
    virtual void rms_norm_backward(int64_t T, int64_t groups, int64_t n, const float *rstd, const float *x,
                                   const float *g, const float *dy, float *dx) = 0;
    // dg[n] += sum over rows of dy * x / rms
    virtual void rms_norm_weight_backward(int64_t T, int64_t groups, int64_t n, const float *rstd, const float *x,
                                          const float *dy, float *dg) = 0;

    // Rotates the first n_rot values of each head in place; sign -1 is the backward.
    virtual void rope(int64_t T, int64_t heads, int64_t head_dim, const int32_t *positions, const RopeTable &table,
                      float sign, float *x) = 0;

    // out[T, n_head*head_dim]; lse[T, n_head] = log-sum-exp of each row of scores
    virtual void attention(const AttentionShape &shape, const Sequences &seqs, const float *q, const float *k,
                           const float *v, float *out, float *lse, void *scratch) = 0;
    // dq, dk, dv are overwritten
    virtual void attention_backward(const AttentionShape &shape, const Sequences &seqs, const float *q, const float *k,
                                    const float *v, const float *out, const float *lse, const float *dout, float *dq,
                                    float *dk, float *dv, void *scratch) = 0;

    // y = act(gate) * up
    virtual void glu(slm_activation activation, int64_t n, const float *gate, const float *up, float *y) = 0;
    // gate and up become their gradients
    virtual void glu_backward(slm_activation activation, int64_t n, const float *dy, float *gate, float *up) = 0;

    virtual void clear(int64_t n, float *x) = 0;  // x = 0, whatever was there
    virtual void copy(int64_t n, const float *x, float *y) = 0;
    virtual void add(int64_t n, const float *x, float *y) = 0;  // y += x
    virtual void scale(int64_t n, float s, float *x) = 0;       // x *= s
    virtual void gather_rows(int64_t R, int64_t n, const int64_t *rows, const float *x, float *y) = 0;
    virtual void scatter_rows(int64_t R, int64_t n, const int64_t *rows, const float *x, float *y) = 0;  // y[rows] = x
    virtual void softcap(int64_t n, float cap, float *x) = 0;
    // db[n] += column sums of dy[T, n]
    virtual void bias_backward(int64_t T, int64_t n, const float *dy, float *db) = 0;
    // y[t, i] = keep ? x / (1-p) : 0 for one sequence; draws keyed by (key, t*n + i)
    virtual void dropout(int64_t T, int64_t n, uint64_t key, float p, const float *x, float *y) = 0;

    // loss[r] = -log softmax(logits[r])[target[r]]; training: logits become softmax - onehot (through the soft cap)
    virtual void cross_entropy(int64_t R, int64_t n_vocab, float cap, float *logits, const int32_t *targets,
                               bool gradient, double *loss) = 0;

    virtual double sum_squares(int64_t n, const float *x) = 0;
    // Loshchilov & Hutter 2019, algorithm 2, in torch's order of operations; gradients are multiplied by
    // gradient_scale.
    virtual void adamw(int64_t n, float gradient_scale, const slm_step_params &params, bool decay,
                       const float *gradient, float *m, float *v, float *p) = 0;
};

}  // namespace slm
