#define SLM_NEON  // the scalar table is compiled for the same processors, and must stay plain
#include "cpu/kernel_table.hpp"

namespace slm {

const Kernels &kernels_neon_bf16() {
    static const Kernels table = make_kernels("neon_bf16", SLM_ISA_NEON_BF16);
    return table;
}

}  // namespace slm
