// Proof of a bf16 product by small integers, whose sums are exact in any order: for kernels that no machine of the
// project could run.
#pragma once

#include "cpu/kernels.hpp"

namespace slm {

// Equals plain integer sums at sizes that meet every edge, and writes nothing else. Runs on a thread of its own.
bool multiplies_exactly(void (*gemm)(const GemmTileBf16 &));

}  // namespace slm
