// The operations on CPU threads. Work is cut over output tiles; no sum is ever split between threads.
#pragma once

#include <vector>

#include "core/arena.hpp"
#include "core/thread_pool.hpp"
#include "cpu/kernels.hpp"
#include "ops/backend.hpp"

namespace slm {

class CpuBackend final : public Backend {
 public:
    CpuBackend(ThreadPool &pool, const Kernels &kernels);

    const Kernels &kernels() const { return kernels_; }
    int64_t pack_bytes() const { return static_cast<int64_t>(pack_.bytes()); }

    bool supports(const Weight &w) const override;
    int64_t attention_scratch(const AttentionShape &shape, int64_t max_tokens) const override;
    int64_t precision_scratch(slm_compute compute, int64_t T, int64_t columns) const override;
    void linear(int64_t T, const LinearOutput *outputs, int n_outputs, const Precision &precision = {}) override;
    void linear_backward(int64_t T, const LinearGradTerm *terms, int n_terms, float *dx, int64_t lddx, bool add,
                         const Precision &precision = {}) override;
    void matmul(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, float *c, int64_t ldc, bool add) override;
    void embedding(int64_t T, const int32_t *ids, const Weight &w, float scale, float *out) override;
    void embedding_backward(int64_t T, const int32_t *ids, int64_t columns, float scale, const float *dout,
                            float *dw) override;
    void rms_norm(int64_t T, int64_t groups, int64_t n, float epsilon, const float *x, const float *g, float *y,
                  float *rstd) override;
    void rms_norm_backward(int64_t T, int64_t groups, int64_t n, const float *rstd, const float *x, const float *g,
                           const float *dy, float *dx) override;
    void rms_norm_weight_backward(int64_t T, int64_t groups, int64_t n, const float *rstd, const float *x,
                                  const float *dy, float *dg) override;
    void rope(int64_t T, int64_t heads, int64_t head_dim, const int32_t *positions, const RopeTable &table, float sign,
              float *x) override;
    void attention(const AttentionShape &shape, const Sequences &seqs, const float *q, const float *k, const float *v,
                   float *out, float *lse, void *scratch) override;
    void attention_backward(const AttentionShape &shape, const Sequences &seqs, const float *q, const float *k,
                            const float *v, const float *out, const float *lse, const float *dout, float *dq, float *dk,
                            float *dv, void *scratch) override;
    void glu(slm_activation activation, int64_t n, const float *gate, const float *up, float *y) override;
    void glu_backward(slm_activation activation, int64_t n, const float *dy, float *gate, float *up) override;
    void clear(int64_t n, float *x) override;
    void copy(int64_t n, const float *x, float *y) override;
    void add(int64_t n, const float *x, float *y) override;
    void scale(int64_t n, float s, float *x) override;
    void gather_rows(int64_t R, int64_t n, const int64_t *rows, const float *x, float *y) override;
    void scatter_rows(int64_t R, int64_t n, const int64_t *rows, const float *x, float *y) override;
    void softcap(int64_t n, float cap, float *x) override;
    void bias_backward(int64_t T, int64_t n, const float *dy, float *db) override;
    void dropout(int64_t T, int64_t n, uint64_t key, float p, const float *x, float *y) override;
    void cross_entropy(int64_t R, int64_t n_vocab, float cap, float *logits, const int32_t *targets, bool gradient,
                       double *loss) override;
    double sum_squares(int64_t n, const float *x) override;
    void adamw(int64_t n, float gradient_scale, const slm_step_params &params, bool decay, const float *gradient,
               float *m, float *v, float *p) override;

 private:
    struct AttentionScratch;

    // A left operand in the precision of its product: f32 as it lies, or rounded rows.
    struct Operand {
        const float *f32;
        const uint16_t *bf16;
        int64_t ld;
    };

    char *thread_memory(int thread) const { return static_cast<char *>(pack_.data()) + thread * kThreadBytes; }
    float *panel(int thread) const { return reinterpret_cast<float *>(thread_memory(thread)); }
    float *row_block(int thread) const { return reinterpret_cast<float *>(thread_memory(thread) + kPanelBytes); }
    uint16_t *panel_bf16(int thread) const { return reinterpret_cast<uint16_t *>(thread_memory(thread)); }
    uint16_t *row_block_bf16(int thread) const { return reinterpret_cast<uint16_t *>(row_block(thread)); }
    float *row(int thread) const { return reinterpret_cast<float *>(thread_memory(thread) + kPanelBytes + kRowsBytes); }

    const QuantType &type_of(const Weight &w) const { return *kernels_.find_type(w.type->id); }
    Operand round(int64_t T, int64_t columns, const float *x, int64_t ldx, uint16_t *out, int64_t ld_out) const;
    void decode_bf16(const Weight &w, int64_t row, int64_t column, int64_t n, uint16_t *out, int thread) const;
    void pack_outputs(const Weight &w, int64_t row, int64_t n_rows, int64_t k0, int64_t k1, int thread) const;
    void pack_outputs_bf16(const Weight &w, int64_t row, int64_t n_rows, int64_t k0, int64_t k1, int thread) const;
    void pack_inputs(const Weight &w, int64_t column, int64_t n_columns, int64_t k0, int64_t k1, int64_t depth,
                     int thread) const;
    void pack_inputs_bf16(const Weight &w, int64_t column, int64_t n_columns, int64_t k0, int64_t k1, int64_t depth,
                          int thread) const;
    // c[m0..m1, n] (+)= a[:, k0..k1) times the packed panel
    void multiply_panel(const Operand &a, int64_t m0, int64_t m1, int64_t n, int64_t k0, int64_t k1, int64_t panel_at,
                        float *c, int64_t ldc, bool add, int thread) const;
    void linear_panel(const LinearOutput &out, const Operand *operands, int64_t row, int64_t m0, int64_t m1,
                      int thread) const;
    void linear_backward_group(const LinearGradTerm *terms, const Operand *operands, int n_terms, int64_t column,
                               int64_t width, int64_t group, int64_t m0, int64_t m1, float *dx, int64_t lddx, bool add,
                               int thread) const;
    void attention_head(const AttentionShape &shape, const Sequences &seqs, int64_t sequence, int64_t head,
                        const float *q, const float *k, const float *v, float *out, float *lse,
                        const AttentionScratch &scratch) const;
    void attention_head_backward(const AttentionShape &shape, const Sequences &seqs, int64_t sequence, int64_t head,
                                 const float *q, const float *k, const float *v, const float *out, const float *lse,
                                 const float *dout, float *dq, const AttentionScratch &scratch) const;

    static constexpr int64_t kDepth = 1024;                      // k values packed at once in f32, twice that in bf16
    static constexpr int64_t kPanelBytes = kDepth * kPanel * 4;  // 256 KiB: stays in L2
    static constexpr int64_t kRowsBytes = 16 * kDepth * 4;       // 16 rows on their way into a panel
    static constexpr int64_t kThreadBytes = kPanelBytes + kRowsBytes + 2 * kDepth * 4;
    static constexpr int64_t kRowTile = 48;  // rows of work handed out together

    ThreadPool &pool_;
    const Kernels &kernels_;
    Buffer pack_;
};

}  // namespace slm
