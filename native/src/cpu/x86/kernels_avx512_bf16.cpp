#include "cpu/kernel_table.hpp"

namespace slm {

const Kernels &kernels_avx512_bf16() {
    static const Kernels table = make_kernels("avx512_bf16", SLM_ISA_AVX512_BF16);
    return table;
}

}  // namespace slm
