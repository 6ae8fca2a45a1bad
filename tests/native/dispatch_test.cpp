// The table that is chosen is the one that was asked for, or the best that this machine offers.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "core/error.hpp"
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
        const Isa isa(name);
        if (slm::cpu_offers(level)) {
            EXPECT_EQ(slm::select_kernels().isa, level);
            EXPECT_STREQ(slm::select_kernels().name, name);
        } else {
            EXPECT_THROW(slm::select_kernels(), slm::Error) << name;
        }
    }
}

}  // namespace
