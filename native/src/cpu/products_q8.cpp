// Integer products: activations as integers in two bytes against the weight's own codes.
#include <algorithm>

#include "cpu/cpu_backend.hpp"
#include "cpu/panels.hpp"

namespace slm {

bool CpuBackend::multiplies_q8(const Weight &w) const {
    return w.columns % 32 == 0 && kernels_.find_pack_q8(w.type->id).rows != nullptr;
}

void CpuBackend::quantize(int64_t T, int64_t n, ConstValues x, Values y) {
    uint8_t *const rows = static_cast<uint8_t *>(y.data);
    pool_.split(T, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = begin; t < end; ++t) kernels_.quantize_q8(n, x.at(t * n), rows + t * q8_row_bytes(n));
    });
}

void CpuBackend::multiply_q8(const LinearTerm &term, int64_t row, int64_t n, int64_t m0, int64_t m1, float *c,
                             int64_t ldc, bool add, int thread) const {
    const Weight &w = term.w;
    const PackQ8 pack = kernels_.find_pack_q8(w.type->id);
    const uint8_t *from = reinterpret_cast<const uint8_t *>(row_pointer(w, type_of(w), row, 0));
    const uint8_t *x = static_cast<const uint8_t *>(term.x.data) + m0 * q8_row_bytes(w.columns);
    uint8_t *panel_q8 = reinterpret_cast<uint8_t *>(thread_memory(thread));
    for (int64_t k0 = 0; k0 < w.columns; k0 += kDepthQ8) {
        const int64_t k1 = std::min(w.columns, k0 + kDepthQ8);
        pack.rows(from, row_bytes(w), n, k0, k1, panel_q8);
        kernels_.gemm_q8({m1 - m0, n, k0, k1, x, w.columns, panel_q8, pack.halves, c, ldc, add});
        add = true;
    }
}

}  // namespace slm
