// The operations on CPU threads. Work is cut over output tiles; no sum is ever split between threads.
#pragma once

#include <vector>

#include "core/arena.hpp"
#include "core/thread_pool.hpp"
#include "cpu/kernels.hpp"
#include "ops/backend.hpp"

namespace slm {

struct AttentionCall;

class CpuBackend final : public Backend {
 public:
    CpuBackend(ThreadPool &pool, const Kernels &kernels);

    const Kernels &kernels() const { return kernels_; }
    int64_t pack_bytes() const { return static_cast<int64_t>(pack_.bytes()); }

    bool supports(const Weight &w) const override;
    int64_t attention_scratch(const AttentionShape &shape, int64_t max_tokens, Format format) const override;
    bool rounds_attention(const AttentionShape &shape) const override { return shape.head_dim % 16 == 0; }
    bool multiplies_q8(const Weight &w) const override;
    void quantize(int64_t T, int64_t n, ConstValues x, Values y) override;
    bool fast_bf16() const override { return kernels_.fast_bf16; }
    void linear(int64_t T, const LinearOutput *outputs, int n_outputs) override;
    void linear_backward(int64_t T, const LinearGradTerm *terms, int n_terms, Values dx, int64_t lddx,
                         bool add) override;
    void outer(const Sequences &seqs, const OuterJob *jobs, int n_jobs) override;
    void matmul(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, float *c, int64_t ldc, bool add) override;
    void embedding(int64_t T, const int32_t *ids, const Weight &w, float scale, float *out) override;
    void embedding_backward(int64_t T, const int32_t *ids, int64_t columns, float scale, const float *dout,
                            float *dw) override;
    void rms_norm(int64_t T, int64_t groups, int64_t n, float epsilon, ConstValues x, const float *g, Values y,
                  float *rstd) override;
    void rms_norm_backward(int64_t T, int64_t groups, int64_t n, const float *rstd, ConstValues x, const float *g,
                           const float *dy, float *dx) override;
    void rms_norm_weight_backward(int64_t T, int64_t groups, int64_t n, const float *rstd, ConstValues x,
                                  const float *dy, float *dg) override;
    void rope(int64_t T, int64_t heads, int64_t head_dim, const int32_t *positions, const RopeTable &table, float sign,
              const float *x, Values y) override;
    void attention(const AttentionShape &shape, const Sequences &seqs, ConstValues q, ConstValues k, ConstValues v,
                   Values out, float *lse, void *scratch) override;
    void attention_backward(const AttentionShape &shape, const Sequences &seqs, ConstValues q, ConstValues k,
                            ConstValues v, ConstValues out, const float *lse, ConstValues dout, float *dq, float *dk,
                            float *dv, void *scratch) override;
    void glu(slm_activation activation, int64_t n, ConstValues gate, ConstValues up, Values y) override;
    void glu_backward(slm_activation activation, int64_t n, ConstValues dy, Values gate, Values up) override;
    void clear(int64_t n, float *x) override;
    void copy(int64_t n, ConstValues x, Values y) override;
    void add(int64_t n, const float *x, float *y) override;
    void scale(int64_t n, float s, Values x) override;
    void gather_rows(int64_t R, int64_t n, const int64_t *rows, const float *x, float *y) override;
    void scatter_rows(int64_t R, int64_t n, const int64_t *rows, const float *x, float *y) override;
    void softcap(int64_t n, float cap, float *x) override;
    void bias_backward(int64_t T, int64_t n, ConstValues dy, float *db) override;
    void dropout(int64_t T, int64_t n, uint64_t key, int64_t first, float p, ConstValues x, Values y) override;
    void cross_entropy(int64_t R, int64_t n_vocab, float cap, float *logits, const int32_t *targets, bool gradient,
                       double *loss, Format format = Format::F32) override;
    void log_sum_exp(int64_t R, int64_t n_vocab, float cap, float *logits, double *lse, int32_t *top) override;
    double sum_squares(int64_t n, const float *x) override;
    void adamw(int64_t n, float gradient_scale, const slm_step_params &params, bool decay, const float *gradient,
               float *m, float *v, float *p) override;

 private:
    struct Operand {
        ConstValues x;
        int64_t ld;
    };
    struct LinearGradCall {
        const LinearGradTerm *terms;
        int n_terms;
        int64_t group;  // columns unpacked together
        bool keep;      // panels stay for the next rows
        Values dx;
        int64_t lddx;
        bool add;
    };

    char *thread_memory(int thread) const { return static_cast<char *>(pack_.data()) + thread * kThreadBytes; }
    // The panel that lies `at` bytes into the thread's memory.
    float *panel(int thread, int64_t at = 0) const { return reinterpret_cast<float *>(thread_memory(thread) + at); }
    float *row_block(int thread) const { return reinterpret_cast<float *>(thread_memory(thread) + kKeptBytes); }
    uint16_t *panel_bf16(int thread, int64_t at = 0) const {
        return reinterpret_cast<uint16_t *>(thread_memory(thread) + at);
    }
    uint16_t *row_block_bf16(int thread) const { return reinterpret_cast<uint16_t *>(row_block(thread)); }
    float *row(int thread) const { return reinterpret_cast<float *>(thread_memory(thread) + kKeptBytes + kRowsBytes); }
    float *tile(int thread) const { return reinterpret_cast<float *>(row(thread) + 2 * kDepth); }

    const QuantType &type_of(const Weight &w) const { return *kernels_.find_type(w.type->id); }
    void decode_bf16(const Weight &w, int64_t row, int64_t column, int64_t n, uint16_t *out, int thread) const;
    void pack_outputs(const Weight &w, int64_t row, int64_t n_rows, int64_t k0, int64_t k1, int64_t at,
                      int thread) const;
    void pack_outputs_bf16(const Weight &w, int64_t row, int64_t n_rows, int64_t k0, int64_t k1, int64_t at,
                           int thread) const;
    void pack_inputs(const Weight &w, int64_t column, int64_t n_columns, int64_t k0, int64_t k1, int64_t at,
                     int thread) const;
    void pack_inputs_bf16(const Weight &w, int64_t column, int64_t n_columns, int64_t k0, int64_t k1, int64_t at,
                          int thread) const;
    // c[m1 - m0, n] (+)= a[m0..m1, k0..k1) times the packed panel
    void multiply_panel(const Operand &a, int64_t m0, int64_t m1, int64_t n, int64_t k0, int64_t k1, int64_t at,
                        float *c, int64_t ldc, bool add, int thread) const;
    void multiply_q8(const LinearTerm &term, int64_t row, int64_t n, int64_t m0, int64_t m1, float *c, int64_t ldc,
                     bool add, int thread) const;
    void store_rounded(const float *tile, int64_t ld, int64_t m, int64_t n, int64_t width, int64_t column, uint16_t *y,
                       int64_t ldy) const;
    static bool keeps_panels(const LinearOutput *outputs, int n_outputs);
    // packed: the thread's memory holds all of this panel from a call before.
    void linear_panel(const LinearOutput &out, int64_t row, int64_t m0, int64_t m1, bool keep, bool packed,
                      int thread) const;
    int64_t column_group(const LinearGradTerm &term) const;
    static bool keeps_panels(const LinearGradTerm *terms, int n_terms, int64_t group);
    void linear_backward_group(const LinearGradCall &call, int64_t column, int64_t m0, int64_t m1, bool packed,
                               int thread) const;
    static int64_t outer_items(const OuterJob &job);
    void outer_panel(const Sequences &seqs, const OuterJob &job, int64_t column, int64_t m0, int64_t m1,
                     int thread) const;
    void outer_block(const OuterJob &job, int64_t m, int64_t rows, int64_t column, int64_t n, int64_t k0, int64_t k1,
                     float *c, int64_t ldc, int thread) const;
    void outer_block_bf16(const OuterJob &job, int64_t m, int64_t rows, int64_t column, int64_t n, int64_t k0,
                          int64_t k1, float *c, int64_t ldc, int thread) const;
    template <typename Scratch, typename Body>
    void each_head(const AttentionCall &call, char *scratch, int64_t (*cut)(const AttentionShape &, int64_t),
                   const Body &body);

    static constexpr int64_t kDepth = 1024;                      // k values packed at once in f32, twice that in bf16
    static constexpr int64_t kPanelBytes = kDepth * kPanel * 4;  // 256 KiB: stays in L2
    static constexpr int64_t kKeptBytes = 2 * kPanelBytes;       // panels of an output's terms, kept for its next rows
    static_assert(kOuterDepth <= kDepth, "a block of an outer product fits the thread's memory");
    static constexpr int64_t kRowsBytes = 16 * kDepth * 4;  // 16 rows on their way into a panel
    static constexpr int64_t kTileRows = 512;               // rows of sums before they are rounded
    static constexpr int64_t kTileBytes = kTileRows * kPanel * 4;
    static constexpr int64_t kThreadBytes = kKeptBytes + kRowsBytes + 2 * kDepth * 4 + kTileBytes;
    static constexpr int64_t kDepthQ8 = kPanelBytes / kQ8GroupBytes * 32;
    static constexpr int64_t kOuterSlice = 256;  // rows of an outer product handed out together
    static constexpr int64_t kOuterRows = 32;    // rows of a^T at once: 32 x kDepth of bf16 fill the row block

    ThreadPool &pool_;
    const Kernels &kernels_;
    Buffer pack_;
};

}  // namespace slm
