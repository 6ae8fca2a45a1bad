// The unpacking loops of every instruction set give the bits of the plain ones, straight to bf16 too.
#include <gtest/gtest.h>

#include "backend_tools.hpp"

namespace {

using namespace slm_test;

TEST(Lookup, EveryInstructionSetUnpacksTheSameBits) {
    Random random(220);
    for (const slm::Kernels *kernels : available_kernels()) {
        for (uint32_t id : {0u, 1u, 2u, 3u, 6u, 7u, 8u, 12u, 13u, 14u, 20u, 23u, 30u}) {
            const slm::QuantType *plain = slm::find_quant_type(id), *own = kernels->find_type(id);
            ASSERT_NE(plain, nullptr) << id;
            ASSERT_NE(own, nullptr) << id;
            SCOPED_TRACE(std::string(kernels->name) + " " + plain->name);
            EXPECT_EQ(own->block_bytes, plain->block_bytes);
            EXPECT_EQ(own->block_values, plain->block_values);
            const int64_t n = 1024;
            const std::vector<uint8_t> bytes = random_blocks(id, n, random);
            Guarded want(n), got(n, NAN);
            plain->dequantize(bytes.data(), want.data(), n);
            own->dequantize(bytes.data(), got.data(), n);
            EXPECT_EQ(std::memcmp(want.data(), got.data(), size_t(n) * 4), 0);
            EXPECT_TRUE(got.intact());

            std::vector<uint16_t> rounded(size_t(n) + 1, 0xabcd), direct(rounded);
            kernels->to_bf16(n, want.data(), rounded.data());
            if (const slm::DecodeBf16 decode = kernels->find_decode_bf16(id)) {
                decode(bytes.data(), direct.data(), n);
                EXPECT_EQ(rounded, direct);
            }
        }
    }
}

}  // namespace
