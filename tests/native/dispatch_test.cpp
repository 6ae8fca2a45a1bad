// The table that is chosen is the one that was asked for, or the best that this machine offers.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "cpu/kernels.hpp"

namespace {

// Sets SLM_ISA for one test and restores it.
class Isa {
 public:
    explicit Isa(const char *value) {
        if (const char *set = std::getenv("SLM_ISA")) before_ = set, had_ = true;
        value ? setenv("SLM_ISA", value, 1) : unsetenv("SLM_ISA");
    }
    ~Isa() { had_ ? setenv("SLM_ISA", before_.c_str(), 1) : unsetenv("SLM_ISA"); }

 private:
    std::string before_;
    bool had_ = false;
};

TEST(Dispatch, WithoutAWishTheBestTableIsChosen) {
    const Isa isa(nullptr);
    const uint32_t features = slm::cpu_features();
    constexpr uint32_t avx2 = SLM_CPU_FEATURE_AVX2 | SLM_CPU_FEATURE_FMA | SLM_CPU_FEATURE_F16C;
    slm_isa best = SLM_ISA_SCALAR;
    if ((features & avx2) == avx2) best = SLM_ISA_AVX2;
    if (best == SLM_ISA_AVX2 && (features & SLM_CPU_FEATURE_AVX512)) best = SLM_ISA_AVX512;
    if (best == SLM_ISA_AVX512 && (features & SLM_CPU_FEATURE_AVX512_BF16)) best = SLM_ISA_AVX512_BF16;
    EXPECT_EQ(slm::select_kernels().isa, best);
}

TEST(Dispatch, EachNameGivesItsTable) {
    const uint32_t features = slm::cpu_features();
    constexpr uint32_t avx2 = SLM_CPU_FEATURE_AVX2 | SLM_CPU_FEATURE_FMA | SLM_CPU_FEATURE_F16C;
    {
        const Isa isa("scalar");
        EXPECT_EQ(slm::select_kernels().isa, SLM_ISA_SCALAR);
    }
    if ((features & avx2) == avx2) {
        const Isa isa("avx2");
        EXPECT_EQ(slm::select_kernels().isa, SLM_ISA_AVX2);
    }
    if (features & SLM_CPU_FEATURE_AVX512) {
        const Isa isa("avx512");
        EXPECT_EQ(slm::select_kernels().isa, SLM_ISA_AVX512);
    }
    if (features & SLM_CPU_FEATURE_AVX512_BF16) {
        const Isa isa("avx512_bf16");
        EXPECT_EQ(slm::select_kernels().isa, SLM_ISA_AVX512_BF16);
    }
}

}  // namespace
