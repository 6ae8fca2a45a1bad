// The inner loops of the CPU backend, one table per instruction set. Nothing here knows threads or models.
#pragma once

#include <cmath>
#include <cstdint>

#include "ops/values.hpp"
#include "quant/quant.hpp"
#include "slimming.h"

namespace slm {

// C[m, n] (=|+=) sum_k A(m, k) * B[k, n], A(m, k) = a[m*rsa + k*csa]. Every element sums k in order into
// one accumulator, so its bits do not depend on m, the tile it falls into, or the thread.
inline constexpr int kPanel = 64;  // columns of a packed B panel

struct GemmTile {
    int64_t m, n, k;
    const float *a;
    int64_t rsa, csa;
    const float *b;  // row k at b + k*ldb; readable to the next multiple of 16 columns
    int64_t ldb;
    float *c;
    int64_t ldc;
    bool add;  // += instead of =
};

// The same with bf16 operands: A row-major with k-pairs side by side, B a panel [k/2][kPanel][2]; sums are f32.
// After an odd k both have one value more, a zero in A.
struct GemmTileBf16 {
    int64_t m, n, k;
    const uint16_t *a;
    int64_t lda;
    const uint16_t *b;
    float *c;
    int64_t ldc;
    bool add;
};

// A panel of 32 k values of kPanel weights for integer products: unsigned codes [8][kPanel][4], then f32 factors and
// offsets [2][kPanel] each, for k 0-15 and 16-31: w = factor * code + offset.
inline constexpr int64_t kQ8GroupBytes = 32 * kPanel + 4 * kPanel * 4;

struct GemmTileQ8 {
    int64_t m, n, k0, k1;  // of the row's columns
    const uint8_t *a;      // Q8 rows of `columns` values
    int64_t columns;
    const uint8_t *b;
    bool halves;  // factors differ within a group
    float *c;
    int64_t ldc;
    bool add;
};

struct PackQ8 {
    void (*rows)(const uint8_t *w, int64_t row_bytes, int64_t n_rows, int64_t k0, int64_t k1, uint8_t *panel);
    bool halves;
};

// 16-bit panels straight from a weight's bytes, where the instruction set has loops for the type. Rows of the weight
// lie row_bytes apart; the columns used are whole multiples of 32.
// panel pair (k/2, j) = W[j][k0 + k], W[j][k0 + k + 1]; columns up to the next multiple of 16 rows are zero
typedef void (*PackRows)(const uint8_t *w, int64_t row_bytes, int64_t n_rows, int64_t k0, int64_t k1, uint16_t *panel);
// panel pair (k/2, j) = W[k][column + j], W[k + 1][column + j]
typedef void (*PackColumns)(const uint8_t *w, int64_t row_bytes, int64_t n_rows, int64_t column, int64_t n_columns,
                            uint16_t *panel);

// A row of softmax, read tile by tile.
struct SoftmaxSum {
    float top = -INFINITY;
    double sum = 0;  // of e^(c - top)
    float log() const { return top + static_cast<float>(std::log(sum)); }
};

struct KeyRange {
    int64_t begin, end;
};

// Rows of scores against up to kPanel keys, as their products left them, on the way back.
struct SoftmaxBackward {
    int64_t rows, n;
    const KeyRange *seen;  // [rows], of the n keys
    float scale, cap;      // c = scale * s, capped when cap > 0
    const float *lse;      // [rows], ld_lse apart
    int64_t ld_lse;
    const float *deltas;  // [rows] dout . out
    const float *s, *dp;  // [rows, kPanel] raw scores, d loss / d probability
    Values p, ds;         // [rows, ld] probabilities e^(c - lse), d loss / d (raw score); 0 for keys that are not seen
    int64_t ld;
};

struct Kernels {
    const char *name;
    slm_isa isa;
    void (*gemm)(const GemmTile &tile);
    const QuantType *(*find_type)(uint32_t ggml_type);  // the same table, its loops compiled for this instruction set
    // panel[k][kPanel] column j0 + j = rows[j][k] for j < n_rows; a transposing copy.
    void (*transpose)(const float *rows, int64_t ld, int n_rows, int64_t n_columns, float *panel, int j0);
    PackRows (*find_pack_rows)(uint32_t ggml_type);        // nullptr: go over f32
    PackColumns (*find_pack_columns)(uint32_t ggml_type);  // nullptr: go over f32
    bool fast_bf16;    // gemm_bf16 has instructions of its own, with a higher rate than f32
    bool own_threads;  // what computes runs on threads of the library only, see Runtime::compute
    void (*gemm_bf16)(const GemmTileBf16 &tile);
    void (*to_bf16)(int64_t n, const float *x, uint16_t *y);  // round to nearest even
    // panel pair (k/2, j0 + j) = (rows[j][k], rows[j][k+1])
    void (*transpose_bf16)(const uint16_t *rows, int64_t ld, int n_rows, int64_t n_columns, uint16_t *panel, int j0);
    void (*interleave_bf16)(int64_t n, const uint16_t *a, const uint16_t *b, uint16_t *out);
    // out[j][i] = rows[i][j] for i < n_rows; a zero follows where n_rows is odd
    void (*turn_bf16)(const uint16_t *rows, int64_t ld, int64_t n_rows, int64_t n_columns, uint16_t *out,
                      int64_t ld_out);
    void (*copy)(int64_t n, ConstValues x, Values y);  // y may lie over x when it is no wider
    PackQ8 (*find_pack_q8)(uint32_t ggml_type);        // rows nullptr: no integer product for this type
    void (*gemm_q8)(const GemmTileQ8 &tile);
    void (*quantize_q8)(int64_t n, ConstValues x, uint8_t *row);
    // y = x / sqrt(mean(x^2) + eps) * g; returns 1/rms.
    float (*rms_norm)(int64_t n, float eps, ConstValues x, const float *g, Values y);
    // dx += (g*dy - xhat * mean(g*dy*xhat)) / rms
    void (*rms_norm_backward)(int64_t n, float rstd, ConstValues x, const float *g, const float *dy, float *dx);
    // dg += dy * x / rms
    void (*rms_norm_weight_backward)(int64_t n, float rstd, ConstValues x, const float *dy, float *dg);
    // y = act(gate) * up
    void (*glu)(slm_activation activation, int64_t n, ConstValues gate, ConstValues up, Values y);
    // dgate, dup overwrite gate, up
    void (*glu_backward)(slm_activation activation, int64_t n, ConstValues dy, Values gate, Values up);
    void (*add)(int64_t n, ConstValues x, float *y);  // y += x
    void (*scale)(int64_t n, float s, Values x);      // x *= s
    // One head: y = x rotated; the first 2*half values turn, the other head_dim - 2*half are copied.
    void (*rope)(bool pairs, int64_t half, int64_t head_dim, const float *cos, const float *sin, float sign,
                 const float *x, Values y);
    double (*sum_squares)(int64_t n, const float *x);
    // One tile of a row of scores, c = scale * s, capped when cap > 0: e^(c - top) comes to lie over s in this format,
    // top being the largest c of the row so far; entries outside [begin, end) become 0. Returns the factor by which
    // all that was summed with the last top shrinks.
    float (*softmax_tile)(int64_t n, int64_t begin, int64_t end, float scale, float cap, float *s, Format out,
                          SoftmaxSum *row);
    void (*softmax_backward)(const SoftmaxBackward &call);
    float (*dot)(int64_t n, ConstValues x, ConstValues y);  // of one format
    // Returns the loss -log softmax(x)[target]; gradient.data != nullptr receives softmax - onehot (may lie over x).
    double (*cross_entropy)(int64_t n, float cap, float *x, int64_t target, Values gradient);
    // Returns log sum exp x, NaN where a value is; *top = index of the largest, the first of equals.
    double (*log_sum_exp)(int64_t n, const float *x, int32_t *top);
    void (*softcap)(int64_t n, float cap, float *x);  // x = cap * tanh(x / cap)
    // AdamW on n values; gradient is multiplied by gradient_scale first.
    void (*adamw)(int64_t n, float gradient_scale, float decay, float step_size, float beta1, float beta2,
                  float inv_sqrt_correction2, float epsilon, const float *gradient, float *m, float *v, float *p);
    // y = keep(key, first + i) ? x * scale : 0
    void (*dropout)(int64_t n, uint64_t key, uint64_t first, float p, ConstValues x, Values y);
};

uint32_t cpu_features();                 // slm_cpu_feature bits that CPU and operating system offer
bool cpu_offers(slm_isa isa);            // its features are there
uint32_t built_levels();                 // bit 1 << slm_isa for every level of this processor family
uint32_t offered_levels();               // of these the ones that select_kernels gives
const Kernels &kernels_of(slm_isa isa);  // a level of this processor family
const Kernels &select_kernels();         // the best that cpu_features() allows, lowered by SLM_ISA
void cpu_brand(char *out, int capacity);

}  // namespace slm
