// The boundary's promises that need no model: version, struct sizes, runtime facts, self-checks.
#include <gtest/gtest.h>

#include <cstdlib>

#include "cpu/levels.hpp"
#include "tiny_model.hpp"

extern "C" uint64_t slm_test_c_sizeof(int id);  // header_c11.c

namespace {

using namespace slm_test;

TEST(Abi, VersionAndSizes) {
    EXPECT_EQ(slm_abi_version(), SLM_ABI_VERSION);
    for (int id = SLM_STRUCT_RUNTIME_PARAMS; id <= SLM_STRUCT_TRACE_EVENT; ++id) {
        EXPECT_EQ(slm_sizeof(static_cast<uint32_t>(id)), slm_test_c_sizeof(id)) << id;
        EXPECT_NE(slm_sizeof(static_cast<uint32_t>(id)), 0u) << id;
    }
    EXPECT_EQ(slm_sizeof(SLM_STRUCT_TRACE_EVENT + 1), 0u);
}

TEST(Abi, RuntimeInfo) {
    const RuntimePtr runtime = make_runtime(3);
    slm_runtime_info info = sized<slm_runtime_info>();
    Text text;
    text.check(slm_runtime_get_info(runtime.get(), &info, text.data, sizeof text.data));
    EXPECT_EQ(info.n_threads, 3);
    EXPECT_GT(std::strlen(info.version), 0u);
    slm_runtime_info all = sized<slm_runtime_info>();
    text.check(slm_runtime_get_info(make_runtime(0).get(), &all, text.data, sizeof text.data));
    EXPECT_GE(all.n_threads, 1);
    // The instruction set in use is one that the features allow.
    uint32_t needed = 0;
    for (const slm::Level &level : slm::cpu_levels()) {
        if (level.isa == slm_isa(info.isa)) needed = level.features;
    }
    EXPECT_EQ(info.cpu_features & needed, needed);
    EXPECT_EQ(info.levels, slm::built_levels());
    EXPECT_EQ(info.offered, slm::offered_levels());
    EXPECT_TRUE(info.offered >> info.isa & 1u);
    EXPECT_EQ(needed == 0, info.isa == uint32_t(SLM_ISA_SCALAR));
    if (const char *set = std::getenv("SLM_ISA"); set && std::string(set) == "scalar") {
        EXPECT_EQ(info.isa, uint32_t(SLM_ISA_SCALAR));
    }
}

TEST(Abi, SelfChecksPass) {
    const RuntimePtr runtime = make_runtime(2);
    int32_t n_checks = 1;
    for (int32_t i = 0; i < n_checks; ++i) {
        slm_self_check check = sized<slm_self_check>();
        Text text;
        text.check(slm_runtime_self_check(runtime.get(), i, &check, &n_checks, text.data, sizeof text.data));
        EXPECT_GT(std::strlen(check.name), 0u);
        EXPECT_EQ(check.passed, 1u) << check.name << ": " << check.difference << " > " << check.tolerance;
        EXPECT_FALSE(!(check.difference <= check.tolerance)) << check.name;
    }
    EXPECT_GE(n_checks, 1);
}

TEST(Abi, DequantizeEqualsTheTable) {
    Random random(80);
    for (uint32_t type : {0u,  1u,  2u,  3u,  6u,  7u,  8u,  10u, 11u, 12u, 13u, 14u, 16u,
                          17u, 18u, 19u, 20u, 21u, 22u, 23u, 29u, 30u, 34u, 35u, 39u, 40u}) {
        const std::vector<uint8_t> bytes = random_blocks(type, 1024, random);
        Guarded out(1024);
        Text text;
        text.check(slm_dequantize(type, bytes.data(), bytes.size(), out.data(), 1024, text.data, sizeof text.data));
        EXPECT_TRUE(out.intact());
        EXPECT_TRUE(bit_equal(out.values(), dequantized(type, bytes))) << type;
    }
}

}  // namespace
