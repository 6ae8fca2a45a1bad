// The table that is chosen is the one that was asked for, or the best that this machine offers.
#include <gtest/gtest.h>

#include "backend_tools.hpp"
#include "core/error.hpp"

namespace {

using slm_test::IsaScope;

TEST(Dispatch, WithoutAWishTheBestTableIsChosen) {
    const IsaScope isa(nullptr);
    const uint32_t features = slm::cpu_features();
    constexpr uint32_t avx2 = SLM_CPU_FEATURE_AVX2 | SLM_CPU_FEATURE_FMA | SLM_CPU_FEATURE_F16C;
    slm_isa best = SLM_ISA_SCALAR;
    if ((features & avx2) == avx2) {
        best = features & SLM_CPU_FEATURE_AVX_VNNI ? SLM_ISA_AVX_VNNI : SLM_ISA_AVX2;
        if (features & SLM_CPU_FEATURE_AVX512) {
            best = features & SLM_CPU_FEATURE_AVX512_VNNI ? SLM_ISA_AVX512_VNNI : SLM_ISA_AVX512;
            if (best == SLM_ISA_AVX512_VNNI && (features & SLM_CPU_FEATURE_AVX512_BF16)) best = SLM_ISA_AVX512_BF16;
        }
    }
    EXPECT_EQ(slm::select_kernels().isa, best);
}

TEST(Dispatch, EachNameGivesItsTable) {
    const std::pair<const char *, slm_isa> names[] = {
        {"scalar", SLM_ISA_SCALAR},           {"avx2", SLM_ISA_AVX2},
        {"avx_vnni", SLM_ISA_AVX_VNNI},       {"avx512", SLM_ISA_AVX512},
        {"avx512_vnni", SLM_ISA_AVX512_VNNI}, {"avx512_bf16", SLM_ISA_AVX512_BF16}};
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

}  // namespace
