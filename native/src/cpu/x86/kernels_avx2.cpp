#include "cpu/kernel_table.hpp"

namespace slm {

const Kernels &kernels_avx2() {
    static const Kernels table = make_kernels("avx2", SLM_ISA_AVX2);
    return table;
}

}  // namespace slm
