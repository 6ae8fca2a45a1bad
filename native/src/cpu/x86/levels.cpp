// What an x86 processor offers: CPUID says what the core has, XGETBV what the operating system saves.
#include "cpu/levels.hpp"

#include <cpuid.h>

#include <cstdio>
#include <cstring>

#include "cpu/x86/tiles.hpp"

namespace slm {

const Kernels &kernels_scalar();
const Kernels &kernels_avx2();
const Kernels &kernels_avx_vnni();
const Kernels &kernels_avx512();
const Kernels &kernels_avx512_vnni();
const Kernels &kernels_avx512_bf16();
const Kernels &kernels_amx_bf16();
bool amx_bf16_proven();

namespace {

uint64_t enabled_states() {
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<uint64_t>(high) << 32) | low;
}

constexpr uint32_t kAvx2 = SLM_CPU_FEATURE_AVX2 | SLM_CPU_FEATURE_FMA | SLM_CPU_FEATURE_F16C;
constexpr uint32_t kAvx512 = kAvx2 | SLM_CPU_FEATURE_AVX512;
constexpr uint32_t kAvx512Bf16 = kAvx512 | SLM_CPU_FEATURE_AVX512_VNNI | SLM_CPU_FEATURE_AVX512_BF16;
constexpr Level kLevels[] = {
    {SLM_ISA_SCALAR, "scalar", kernels_scalar, 0},
    {SLM_ISA_AVX2, "avx2", kernels_avx2, kAvx2},
    {SLM_ISA_AVX_VNNI, "avx_vnni", kernels_avx_vnni, kAvx2 | SLM_CPU_FEATURE_AVX_VNNI},
    {SLM_ISA_AVX512, "avx512", kernels_avx512, kAvx512},
    {SLM_ISA_AVX512_VNNI, "avx512_vnni", kernels_avx512_vnni, kAvx512 | SLM_CPU_FEATURE_AVX512_VNNI},
    {SLM_ISA_AVX512_BF16, "avx512_bf16", kernels_avx512_bf16, kAvx512Bf16},
    {SLM_ISA_AMX_BF16, "amx_bf16", kernels_amx_bf16, kAvx512Bf16 | SLM_CPU_FEATURE_AMX_BF16, amx_bf16_proven},
};

}  // namespace

std::span<const Level> cpu_levels() {
    return kLevels;
}

uint32_t read_cpu_features() {
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
    constexpr uint32_t amx_bf16 = 1u << 22, amx_tile = 1u << 24;
    if (tiles && (d & amx_bf16) && (d & amx_tile) && tiles_granted()) features |= SLM_CPU_FEATURE_AMX_BF16;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return features;
    if (ymm && (a & (1u << 4))) features |= SLM_CPU_FEATURE_AVX_VNNI;
    if (zmm && (a & (1u << 5))) features |= SLM_CPU_FEATURE_AVX512_BF16;
    return features;
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
