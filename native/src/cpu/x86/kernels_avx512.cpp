#include "cpu/kernel_table.hpp"

namespace slm {

const Kernels &kernels_avx512() {
    static const Kernels table = make_kernels("avx512", SLM_ISA_AVX512);
    return table;
}

}  // namespace slm
