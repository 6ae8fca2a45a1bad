// Panels of bf16 pairs: a weight is unpacked, rounded once, and multiplied with rounded activations.
#include <algorithm>
#include <cstring>

#include "cpu/cpu_backend.hpp"
#include "cpu/panels.hpp"

namespace slm {

void CpuBackend::decode_bf16(const Weight &w, int64_t row_index, int64_t column, int64_t n, uint16_t *out,
                             int thread) const {
    const QuantType &type = type_of(w);
    const char *from = row_pointer(w, type, row_index, column);
    if (type.id == 30) {
        std::memcpy(out, from, static_cast<size_t>(n) * 2);
        return;
    }
    if (const DecodeBf16 decode = kernels_.find_decode_bf16(type.id)) {
        decode(from, out, n);
        return;
    }
    float *part = row(thread);
    type.dequantize(from, part, n);
    kernels_.to_bf16(n, part, out);
}

// panel pair [(k - k0)/2][j] = W[row + j][k], W[row + j][k + 1]
void CpuBackend::pack_outputs_bf16(const Weight &w, int64_t row_index, int64_t n_rows, int64_t k0, int64_t k1,
                                   int thread) const {
    uint16_t *out = panel_bf16(thread), *rows = row_block_bf16(thread);
    const int64_t n = k1 - k0, even = ceil_div(n, 2) * 2, ld = 2 * kDepth;
    for (int64_t j0 = 0; j0 < n_rows; j0 += 16) {
        const int64_t count = std::min<int64_t>(16, n_rows - j0);
        for (int64_t j = 0; j < 16; ++j) {
            uint16_t *to = rows + j * ld;
            if (j < count)
                decode_bf16(w, row_index + j0 + j, k0, n, to, thread);
            else
                std::memset(to, 0, static_cast<size_t>(n) * 2);
            if (even != n) to[n] = 0;
        }
        kernels_.transpose_bf16(rows, ld, 16, even, out, static_cast<int>(j0));
    }
}

// panel p, pair [(k - k0)/2][j] = W[k][column + p*kPanel + j], W[k + 1][same]
void CpuBackend::pack_inputs_bf16(const Weight &w, int64_t column, int64_t n_columns, int64_t k0, int64_t k1,
                                  int64_t depth, int thread) const {
    uint16_t *out = panel_bf16(thread), *first = row_block_bf16(thread), *second = first + 2 * kDepth;
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

}  // namespace slm
