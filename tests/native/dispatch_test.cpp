// The table that is chosen is the one that was asked for, or the best that this machine offers.
#include <gtest/gtest.h>

#include "backend_tools.hpp"
#include "core/error.hpp"

namespace {

using slm_test::IsaScope;

slm_isa best_of(uint32_t features) {
#if defined(__x86_64__)
    constexpr uint32_t avx2 = SLM_CPU_FEATURE_AVX2 | SLM_CPU_FEATURE_FMA | SLM_CPU_FEATURE_F16C;
    if ((features & avx2) != avx2) return SLM_ISA_SCALAR;
    if (!(features & SLM_CPU_FEATURE_AVX512))
        return features & SLM_CPU_FEATURE_AVX_VNNI ? SLM_ISA_AVX_VNNI : SLM_ISA_AVX2;
    if (!(features & SLM_CPU_FEATURE_AVX512_VNNI)) return SLM_ISA_AVX512;
    return features & SLM_CPU_FEATURE_AVX512_BF16 ? SLM_ISA_AVX512_BF16 : SLM_ISA_AVX512_VNNI;
#else
    constexpr uint32_t more = SLM_CPU_FEATURE_NEON_BF16 | SLM_CPU_FEATURE_NEON_I8MM;
    return (features & more) == more ? SLM_ISA_NEON_BF16 : SLM_ISA_NEON;
#endif
}

TEST(Dispatch, WithoutAWishTheBestTableIsChosen) {
    const IsaScope isa(nullptr);
    EXPECT_EQ(slm::select_kernels().isa, best_of(slm::cpu_features()));
}

TEST(Dispatch, EachNameGivesItsTable) {
    const std::pair<const char *, slm_isa> names[] = {{"scalar", SLM_ISA_SCALAR},
                                                      {"avx2", SLM_ISA_AVX2},
                                                      {"avx_vnni", SLM_ISA_AVX_VNNI},
                                                      {"avx512", SLM_ISA_AVX512},
                                                      {"avx512_vnni", SLM_ISA_AVX512_VNNI},
                                                      {"avx512_bf16", SLM_ISA_AVX512_BF16},
                                                      {"neon", SLM_ISA_NEON},
                                                      {"neon_bf16", SLM_ISA_NEON_BF16}};
    for (const auto &[name, level] : names) {
        const IsaScope isa(name);
        if (slm::cpu_offers(level)) {
            EXPECT_EQ(slm::select_kernels().isa, level);
            EXPECT_STREQ(slm::select_kernels().name, name);
        } else {
            EXPECT_THROW(slm::select_kernels(), slm::Error) << name;
        }
    }
}

/// Another family's level is neither offered nor given.
TEST(Dispatch, LevelsOfOtherProcessorsAreRefused) {
#if defined(__x86_64__)
    const slm_isa other = SLM_ISA_NEON;
#else
    const slm_isa other = SLM_ISA_AVX2;
#endif
    EXPECT_FALSE(slm::cpu_offers(other));
    EXPECT_THROW(slm::kernels_of(other), slm::Error);
}

}  // namespace
