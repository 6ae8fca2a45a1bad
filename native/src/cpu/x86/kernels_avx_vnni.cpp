#include "cpu/kernel_table.hpp"

namespace slm {

const Kernels &kernels_avx_vnni() {
    static const Kernels table = make_kernels("avx_vnni", SLM_ISA_AVX_VNNI);
    return table;
}

}  // namespace slm
