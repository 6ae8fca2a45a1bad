// Which kernels this machine may run: CPUID says what the core has, XGETBV what the operating system saves.
#include <cpuid.h>

#include <cstdlib>
#include <cstring>

#include "core/error.hpp"
#include "cpu/kernels.hpp"

namespace slm {

namespace {

uint64_t enabled_states() {
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<uint64_t>(high) << 32) | low;
}

uint32_t read_features() {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    const uint64_t states = enabled_states();
    const bool ymm = (states & 0x6) == 0x6, zmm = (states & 0xE6) == 0xE6, tiles = (states & 0x60000) == 0x60000;
    uint32_t features = 0;
    if (ymm && (c & bit_FMA)) features |= SLM_CPU_FEATURE_FMA;
    if (ymm && (c & bit_F16C)) features |= SLM_CPU_FEATURE_F16C;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
    constexpr uint32_t avx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    if (ymm && (b & bit_AVX2)) features |= SLM_CPU_FEATURE_AVX2;
    if (zmm && (b & avx512) == avx512) features |= SLM_CPU_FEATURE_AVX512;
    if (zmm && (c & bit_AVX512VNNI)) features |= SLM_CPU_FEATURE_AVX512_VNNI;
    if (tiles && (d & (1u << 22))) features |= SLM_CPU_FEATURE_AMX_BF16;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return features;
    if (ymm && (a & (1u << 4))) features |= SLM_CPU_FEATURE_AVX_VNNI;
    if (zmm && (a & (1u << 5))) features |= SLM_CPU_FEATURE_AVX512_BF16;
    return features;
}

slm_isa best_isa(uint32_t features) {
    constexpr uint32_t avx2 = SLM_CPU_FEATURE_AVX2 | SLM_CPU_FEATURE_FMA | SLM_CPU_FEATURE_F16C;
    if ((features & avx2) != avx2) return SLM_ISA_SCALAR;
    if (!(features & SLM_CPU_FEATURE_AVX512)) return SLM_ISA_AVX2;
    return features & SLM_CPU_FEATURE_AVX512_BF16 ? SLM_ISA_AVX512_BF16 : SLM_ISA_AVX512;
}

}  // namespace

uint32_t cpu_features() {
    static const uint32_t features = read_features();
    return features;
}

const Kernels &select_kernels() {
    const slm_isa best = best_isa(cpu_features());
    slm_isa chosen = best;
    if (const char *wanted = std::getenv("SLM_ISA"); wanted != nullptr && *wanted != '\0') {
        if (std::strcmp(wanted, "scalar") == 0)
            chosen = SLM_ISA_SCALAR;
        else if (std::strcmp(wanted, "avx2") == 0)
            chosen = SLM_ISA_AVX2;
        else if (std::strcmp(wanted, "avx512") == 0)
            chosen = SLM_ISA_AVX512;
        else if (std::strcmp(wanted, "avx512_bf16") == 0)
            chosen = SLM_ISA_AVX512_BF16;
        else
            fail(SLM_STATUS_INVALID_ARGUMENT, "SLM_ISA is '%s', expected scalar, avx2, avx512 or avx512_bf16", wanted);
        if (chosen > best)
            fail(SLM_STATUS_UNSUPPORTED, "SLM_ISA asks for '%s', which this machine does not offer; leave it unset",
                 wanted);
    }
    switch (chosen) {
        case SLM_ISA_AVX512_BF16:
            return kernels_avx512_bf16();
        case SLM_ISA_AVX512:
            return kernels_avx512();
        case SLM_ISA_AVX2:
            return kernels_avx2();
        default:
            return kernels_scalar();
    }
}

void cpu_brand(char *out, int capacity) {
    uint32_t words[12] = {};
    for (uint32_t i = 0; i < 3; ++i)
        if (!__get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3])) break;
    char text[49] = {};
    std::memcpy(text, words, 48);
    const char *start = text;
    while (*start == ' ') ++start;
    std::snprintf(out, static_cast<size_t>(capacity), "%s", start);
}

}  // namespace slm
