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
    if (!(features & SLM_CPU_FEATURE_AVX512_BF16)) return SLM_ISA_AVX512_VNNI;
    return features & SLM_CPU_FEATURE_AMX_BF16 ? SLM_ISA_AMX_BF16 : SLM_ISA_AVX512_BF16;
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
    const std::pair<const char *, slm_isa> names[] = {
        {"scalar", SLM_ISA_SCALAR},           {"avx2", SLM_ISA_AVX2},
        {"avx_vnni", SLM_ISA_AVX_VNNI},       {"avx512", SLM_ISA_AVX512},
        {"avx512_vnni", SLM_ISA_AVX512_VNNI}, {"avx512_bf16", SLM_ISA_AVX512_BF16},
        {"amx_bf16", SLM_ISA_AMX_BF16},       {"neon", SLM_ISA_NEON},
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

/// A level whose products come out wrong is neither chosen nor given by its name.
TEST(Dispatch, AnUnprovenLevelIsPassedOver) {
    static bool right = false;
    const slm::Level levels[] = {{SLM_ISA_SCALAR, "least", nullptr, 0},
                                 {SLM_ISA_AVX2, "better", nullptr, 1},
                                 {SLM_ISA_AMX_BF16, "best", nullptr, 3, [] { return right; }}};
    EXPECT_EQ(slm::choose_level(levels, 3, nullptr).isa, SLM_ISA_AVX2);
    try {
        slm::choose_level(levels, 3, "best");
        FAIL() << "a wrong level was given";
    } catch (const slm::Error &error) {
        EXPECT_EQ(error.status(), SLM_STATUS_UNSUPPORTED);
        EXPECT_NE(std::string(error.what()).find("came out wrong"), std::string::npos) << error.what();
    }
    right = true;
    EXPECT_EQ(slm::choose_level(levels, 3, "").isa, SLM_ISA_AMX_BF16);
    EXPECT_EQ(slm::choose_level(levels, 3, "best").isa, SLM_ISA_AMX_BF16);
    EXPECT_EQ(slm::choose_level(levels, 3, "better").isa, SLM_ISA_AVX2);
    EXPECT_EQ(slm::choose_level(levels, 1, nullptr).isa, SLM_ISA_AVX2);
    EXPECT_THROW(slm::choose_level(levels, 1, "best"), slm::Error);
}

TEST(Dispatch, MasksNameBuiltAndOfferedLevels) {
    uint32_t built = 0;
    for (const slm::Level &level : slm::cpu_levels()) {
        built |= 1u << level.isa;
        // A level with a proof that fails is missing below; then the tests of its products fail too.
        EXPECT_EQ(slm::offered_levels() >> level.isa & 1u, uint32_t(slm::cpu_offers(level.isa))) << level.name;
    }
    EXPECT_EQ(slm::built_levels(), built);
    EXPECT_EQ(slm::offered_levels() & ~built, 0u);
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
