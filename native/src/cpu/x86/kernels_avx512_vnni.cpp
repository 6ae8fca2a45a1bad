#include "cpu/kernel_table.hpp"

namespace slm {

const Kernels &kernels_avx512_vnni() {
    static const Kernels table = make_kernels("avx512_vnni", SLM_ISA_AVX512_VNNI);
    return table;
}

}  // namespace slm
