// Panels of bf16 pairs: a weight is unpacked, rounded once, and multiplied with rounded activations.
#include <algorithm>
#include <cstring>

#include "cpu/cpu_backend.hpp"
#include "cpu/panels.hpp"

namespace slm {

void CpuBackend::decode_bf16(const Weight &w, int64_t row_index, int64_t column, int64_t n, uint16_t *out,
                             int thread) const {
    const QuantType &type = type_of(w);
    float *part = row(thread);
    type.dequantize(row_pointer(w, type, row_index, column), part, n);
    kernels_.to_bf16(n, part, out);
}

// panel pair [(k - k0)/2][j] = W[row + j][k], W[row + j][k + 1]
void CpuBackend::pack_outputs_bf16(const Weight &w, int64_t row_index, int64_t n_rows, int64_t k0, int64_t k1,
                                   int64_t at, int thread) const {
    uint16_t *const out = panel_bf16(thread, at);
    if (const PackRows pack = w.columns % 32 == 0 ? kernels_.find_pack_rows(w.type->id) : nullptr) {
        const char *first = row_pointer(w, type_of(w), row_index, 0);
        pack(reinterpret_cast<const uint8_t *>(first), row_bytes(w), n_rows, k0, k1, out);
        return;
    }
    uint16_t *rows = row_block_bf16(thread);
    const int64_t n = k1 - k0, ld = 2 * kDepth;
    for (int64_t j0 = 0; j0 < n_rows; j0 += 16) {
        const int64_t count = std::min<int64_t>(16, n_rows - j0);
        for (int64_t j = 0; j < 16; ++j) {
            uint16_t *to = rows + j * ld;
            if (j < count)
                decode_bf16(w, row_index + j0 + j, k0, n, to, thread);
            else
                std::memset(to, 0, static_cast<size_t>(n) * 2);
            if (n % 2 != 0) to[n] = 0;
        }
        kernels_.transpose_bf16(rows, ld, 16, even(n), out, static_cast<int>(j0));
    }
}

// panel p, pair [(k - k0)/2][j] = W[k][column + p*kPanel + j], W[k + 1][same]
void CpuBackend::pack_inputs_bf16(const Weight &w, int64_t column, int64_t n_columns, int64_t k0, int64_t k1,
                                  int64_t at, int thread) const {
    const int64_t depth = even(k1 - k0);
    uint16_t *const out = panel_bf16(thread, at);
    if (const PackColumns pack = w.columns % 32 == 0 ? kernels_.find_pack_columns(w.type->id) : nullptr) {
        const char *from = row_pointer(w, type_of(w), k0, 0);
        for (int64_t j = 0; j < n_columns; j += kPanel)
            pack(reinterpret_cast<const uint8_t *>(from), row_bytes(w), k1 - k0, column + j,
                 std::min<int64_t>(kPanel, n_columns - j), out + j * depth);
        return;
    }
    uint16_t *first = row_block_bf16(thread), *second = first + 2 * kDepth;
    const int64_t padded = ceil_div(n_columns, 16) * 16;
    std::memset(first + n_columns, 0, static_cast<size_t>(padded - n_columns) * 2);
    std::memset(second + n_columns, 0, static_cast<size_t>(padded - n_columns) * 2);
    for (int64_t k = k0; k < k1; k += 2) {
        decode_bf16(w, k, column, n_columns, first, thread);
        if (k + 1 < k1)
            decode_bf16(w, k + 1, column, n_columns, second, thread);
        else
            std::memset(second, 0, static_cast<size_t>(n_columns) * 2);
        for (int64_t j = 0; j < padded; j += kPanel)
            kernels_.interleave_bf16(std::min<int64_t>(kPanel, padded - j), first + j, second + j,
                                     out + j / kPanel * depth * kPanel + (k - k0) * kPanel);
    }
}

// Both operands come as rows of tokens: a is turned, rows of b are interleaved.
void CpuBackend::outer_block_bf16(const OuterJob &job, int64_t m, int64_t rows, int64_t column, int64_t n, int64_t k0,
                                  int64_t k1, float *c, int64_t ldc, int thread) const {
    const int64_t depth = k1 - k0, pairs = even(depth), padded = ceil_div(n, 16) * 16;
    uint16_t *a = row_block_bf16(thread), *out = panel_bf16(thread);
    kernels_.turn_bf16(job.a.bf16() + k0 * job.lda + m, job.lda, depth, rows, a, pairs);
    constexpr int64_t kAhead = 16;
    const uint16_t *b = job.b.bf16() + k0 * job.ldb + column;
    uint16_t zeros[kPanel] = {};
    for (int64_t k = 0; k < depth; k += 2, b += 2 * job.ldb, out += 2 * kPanel) {
        // Rows that another core wrote come late, and no pattern of so short pieces is foreseen.
        if (k + kAhead < depth)
            for (int64_t i = 0; i < 2; ++i) {
                __builtin_prefetch(b + (kAhead + i) * job.ldb);
                __builtin_prefetch(b + (kAhead + i) * job.ldb + n - 1);
            }
        kernels_.interleave_bf16(n, b, k + 1 < depth ? b + job.ldb : zeros, out);
        std::memset(out + 2 * n, 0, static_cast<size_t>(padded - n) * 4);
    }
    kernels_.gemm_bf16({rows, n, pairs, a, pairs, panel_bf16(thread), c, ldc, !job.transposed});
}

}  // namespace slm
