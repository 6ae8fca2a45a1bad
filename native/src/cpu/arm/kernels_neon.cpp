#define SLM_NEON  // the scalar table is compiled for the same processors, and must stay plain
#include "cpu/kernel_table.hpp"

namespace slm {

const Kernels &kernels_neon() {
    static const Kernels table = make_kernels("neon", SLM_ISA_NEON);
    return table;
}

}  // namespace slm
