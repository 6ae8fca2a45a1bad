// The operations a step is written in. A backend (CPU now, CUDA later) implements them; no operation knows who calls
// it, none allocates. Matrices are row-major f32; T counts token rows.
#pragma once

#include <cstdint>

#include "ops/values.hpp"
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
    ConstValues x;    // [T, W.columns]
    int64_t ldx = 0;  // in values; Q8 rows lie q8_row_bytes() apart
    Weight w;
};

// y (=|+=) sum of terms (+ bias); all outputs of one call share T.
struct LinearOutput {
    Values y;  // [T, rows]
    int64_t ldy = 0;
    LinearTerm terms[2];
    int n_terms = 1;
    const float *bias = nullptr;  // [rows] or nullptr
    bool add = false;             // f32 only
};

// One summand dy W of an input gradient.
struct LinearGradTerm {
    ConstValues dy;  // [T, W.rows]
    int64_t lddy = 0;
    Weight w;
};

// c[m, n] += a^T b, or c[n, m] when transposed: what a weight's gradient is made of. Rows are tokens.
struct OuterJob {
    ConstValues a;  // [T, m], of b's format
    int64_t lda = 0, m = 0;
    ConstValues b;  // [T, n]
    int64_t ldb = 0, n = 0;
    float *c = nullptr;
    int64_t ldc = 0;
    bool transposed = false;
};

// `outer` sums so many tokens of a sequence at once, counted from its first: calls for the pieces of a sequence that is
// cut at multiples of this give the bits of one call.
inline constexpr int64_t kOuterDepth = 1024;

// C[m, n] (=|+=) sum_k A(m, k) B(k, n), any strides.
struct MatrixView {
    const float *data;
    int64_t row_stride;
    int64_t column_stride;
};

// Packed sequences: tokens offsets[s] .. offsets[s+1] belong to sequence s. One with a parent, an earlier sequence,
// goes on from the parent's last token; only forwards take parents.
struct Sequences {
    int64_t count = 0;
    const int64_t *offsets = nullptr;
    const int64_t *parents = nullptr;  // [count], -1: none; nullptr: none has one
    int64_t tokens() const { return offsets[count]; }
    int64_t length(int64_t s) const { return offsets[s + 1] - offsets[s]; }
    int64_t parent(int64_t s) const { return parents == nullptr ? -1 : parents[s]; }
    // Tokens before the sequence's own.
    int64_t inherited(int64_t s) const {
        int64_t n = 0;
        for (s = parent(s); s >= 0; s = parent(s)) n += length(s);
        return n;
    }
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

    // Bytes that products, attention and the optimizer have read or written so far.
    const uint64_t &bytes_moved() const { return bytes_moved_; }

    virtual bool supports(const Weight &w) const = 0;
    // Bytes of scratch that attention in `format` needs for sequences that see up to max_tokens; handed in by the
    // caller.
    virtual int64_t attention_scratch(const AttentionShape &shape, int64_t max_tokens, Format format) const = 0;
    // Whether attention takes rounded values of this shape.
    virtual bool rounds_attention(const AttentionShape &shape) const = 0;

    // Whether `linear` takes Q8 values for this weight.
    virtual bool multiplies_q8(const Weight &w) const = 0;
    // y[t] = the Q8 row of x[t, n]; n is a multiple of 32
    virtual void quantize(int64_t T, int64_t n, ConstValues x, Values y) = 0;
    // The products of these values are faster in bf16 than in f32.
    virtual bool fast_bf16() const = 0;

    // y_j (=|+=) sum_i x_ji W_ji^T + bias_j
    virtual void linear(int64_t T, const LinearOutput *outputs, int n_outputs) = 0;
    // dx (=|+=) sum_i dy_i W_i; backward of `linear` towards its input. Only f32 can be added to.
    virtual void linear_backward(int64_t T, const LinearGradTerm *terms, int n_terms, Values dx, int64_t lddx,
                                 bool add) = 0;
    // Backward of `linear` towards weights: every job sums over the tokens of a sequence, sequences in order.
    virtual void outer(const Sequences &seqs, const OuterJob *jobs, int n_jobs) = 0;
    // c[m, n] (=|+=) a b
    virtual void matmul(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, float *c, int64_t ldc,
                        bool add) = 0;

    // out[t, :] = scale * row ids[t] of w
    virtual void embedding(int64_t T, const int32_t *ids, const Weight &w, float scale, float *out) = 0;
    // dw[ids[t], :] += scale * dout[t, :], tokens in order
    virtual void embedding_backward(int64_t T, const int32_t *ids, int64_t columns, float scale, const float *dout,
                                    float *dw) = 0;

    // y[t, h, :] = g * x[t, h, :] / rms over groups of n values; x and y may be the same; rstd[T * groups]
    virtual void rms_norm(int64_t T, int64_t groups, int64_t n, float epsilon, ConstValues x, const float *g, Values y,
                          float *rstd) = 0;
    // dx += d rms_norm; dx must not alias dy
    virtual void rms_norm_backward(int64_t T, int64_t groups, int64_t n, const float *rstd, ConstValues x,
                                   const float *g, const float *dy, float *dx) = 0;
    // dg[n] += sum over rows of dy * x / rms
    virtual void rms_norm_weight_backward(int64_t T, int64_t groups, int64_t n, const float *rstd, ConstValues x,
                                          const float *dy, float *dg) = 0;

    // y = x with the first n_rot values of each head rotated; sign -1 is the backward; x and y may be the same.
    virtual void rope(int64_t T, int64_t heads, int64_t head_dim, const int32_t *positions, const RopeTable &table,
                      float sign, const float *x, Values y) = 0;

    // out[T, n_head*head_dim]; lse[T, n_head] = log-sum-exp of each row of scores. All values are of one format.
    virtual void attention(const AttentionShape &shape, const Sequences &seqs, ConstValues q, ConstValues k,
                           ConstValues v, Values out, float *lse, void *scratch) = 0;
    // dq, dk, dv are overwritten
    virtual void attention_backward(const AttentionShape &shape, const Sequences &seqs, ConstValues q, ConstValues k,
                                    ConstValues v, ConstValues out, const float *lse, ConstValues dout, float *dq,
                                    float *dk, float *dv, void *scratch) = 0;

    // y = act(gate) * up
    virtual void glu(slm_activation activation, int64_t n, ConstValues gate, ConstValues up, Values y) = 0;
    // gate and up, of one format, become their gradients
    virtual void glu_backward(slm_activation activation, int64_t n, ConstValues dy, Values gate, Values up) = 0;

    virtual void clear(int64_t n, float *x) = 0;                // x = 0, whatever was there
    virtual void copy(int64_t n, ConstValues x, Values y) = 0;  // rounds to nearest even where y is bf16
    virtual void add(int64_t n, const float *x, float *y) = 0;  // y += x
    virtual void scale(int64_t n, float s, Values x) = 0;       // x *= s
    virtual void gather_rows(int64_t R, int64_t n, const int64_t *rows, const float *x, float *y) = 0;
    virtual void scatter_rows(int64_t R, int64_t n, const int64_t *rows, const float *x, float *y) = 0;  // y[rows] = x
    virtual void softcap(int64_t n, float cap, float *x) = 0;
    // db[n] += column sums of dy[T, n]
    virtual void bias_backward(int64_t T, int64_t n, ConstValues dy, float *db) = 0;
    // y[t, i] = keep ? x / (1-p) : 0 for rows of one sequence from `first` on; draws keyed by (key, (first + t)*n + i)
    virtual void dropout(int64_t T, int64_t n, uint64_t key, int64_t first, float p, ConstValues x, Values y) = 0;

    // loss[r] = -log softmax(logits[r])[target[r]]. With `gradient` logits become softmax - onehot (through the soft
    // cap) in `format`: a row of bf16 lies over the first half of its logits, so rows are 2 n_vocab values apart.
    virtual void cross_entropy(int64_t R, int64_t n_vocab, float cap, float *logits, const int32_t *targets,
                               bool gradient, double *loss, Format format = Format::F32) = 0;

    // Logits are capped where there is a cap. lse[r] = log sum exp logits[r], NaN where one of them is; top[r] = index
    // of the largest, the first of equals.
    virtual void log_sum_exp(int64_t R, int64_t n_vocab, float cap, float *logits, double *lse, int32_t *top) = 0;

    virtual double sum_squares(int64_t n, const float *x) = 0;
    // Loshchilov & Hutter 2019, algorithm 2, in torch's order of operations; gradients are multiplied by
    // gradient_scale.
    virtual void adamw(int64_t n, float gradient_scale, const slm_step_params &params, bool decay,
                       const float *gradient, float *m, float *v, float *p) = 0;

 protected:
    void moved(int64_t bytes) { bytes_moved_ += static_cast<uint64_t>(bytes); }

 private:
    uint64_t bytes_moved_ = 0;
};

}  // namespace slm
