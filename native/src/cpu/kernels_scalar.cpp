#include "cpu/kernel_table.hpp"

namespace slm {

const Kernels &kernels_scalar() {
    static const Kernels table = make_kernels("scalar", SLM_ISA_SCALAR);
    return table;
}

}  // namespace slm
