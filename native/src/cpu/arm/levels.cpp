// What an AArch64 processor offers, as Linux reports it.
#include "cpu/levels.hpp"

#include <sys/auxv.h>

#include <cstdio>

namespace slm {

const Kernels &kernels_scalar();
const Kernels &kernels_neon();
const Kernels &kernels_neon_bf16();

namespace {

constexpr Level kLevels[] = {
    {SLM_ISA_SCALAR, "scalar", kernels_scalar, 0},
    {SLM_ISA_NEON, "neon", kernels_neon, SLM_CPU_FEATURE_NEON},
    {SLM_ISA_NEON_BF16, "neon_bf16", kernels_neon_bf16,
     SLM_CPU_FEATURE_NEON | SLM_CPU_FEATURE_NEON_BF16 | SLM_CPU_FEATURE_NEON_I8MM},
};

}  // namespace

std::span<const Level> cpu_levels() {
    return kLevels;
}

uint32_t read_cpu_features() {
    const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    uint32_t features = 0;
    if (first & HWCAP_ASIMD) features |= SLM_CPU_FEATURE_NEON;
    if (second & HWCAP2_BF16) features |= SLM_CPU_FEATURE_NEON_BF16;
    if (second & HWCAP2_I8MM) features |= SLM_CPU_FEATURE_NEON_I8MM;
    return features;
}

// AArch64 has no name to read, only numbers of who made it and which part it is; the kernel answers for the register.
void cpu_brand(char *out, int capacity) {
    const size_t size = static_cast<size_t>(capacity);
    if (!(getauxval(AT_HWCAP) & HWCAP_CPUID)) {
        std::snprintf(out, size, "AArch64");
        return;
    }
    uint64_t id = 0;
    __asm__("mrs %0, MIDR_EL1" : "=r"(id));
    std::snprintf(out, size, "AArch64 implementer 0x%02x, part 0x%03x", static_cast<unsigned>(id >> 24 & 0xFF),
                  static_cast<unsigned>(id >> 4 & 0xFFF));
}

}  // namespace slm
