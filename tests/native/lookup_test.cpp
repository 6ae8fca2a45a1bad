// The unpacking loops of every instruction set give the bits of the plain ones, straight to bf16 too.
#include <gtest/gtest.h>

#include <array>

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
        }
    }
}

/// The panels that products read, from the bits of dequantize and rounding: every part of a matrix, odd numbers of
/// rows.
TEST(Lookup, PanelsHoldTheRoundedBits) {
    Random random(221);
    for (const slm::Kernels *kernels : available_kernels()) {
        for (uint32_t id : {0u, 1u, 2u, 3u, 6u, 7u, 8u, 12u, 13u, 14u, 20u, 30u}) {
            const slm::PackRows pack_rows = kernels->find_pack_rows(id);
            const slm::PackColumns pack_columns = kernels->find_pack_columns(id);
            EXPECT_EQ(pack_rows == nullptr, pack_columns == nullptr);
            if (pack_rows == nullptr) continue;
            SCOPED_TRACE(std::string(kernels->name) + " " + slm::find_quant_type(id)->name);
            const int64_t rows = 67, columns = 512, row_bytes = int64_t(random_blocks(id, columns, random).size());
            const std::vector<uint8_t> bytes = random_blocks(id, rows * columns, random);
            const std::vector<float> values = dequantized(id, bytes);
            std::vector<uint16_t> w(values.size());
            kernels->to_bf16(rows * columns, values.data(), w.data());
            const auto at = [&](int64_t r, int64_t c) { return r < rows ? w[size_t(r * columns + c)] : uint16_t(0); };
            std::vector<uint16_t> panel(size_t(columns * slm::kPanel), 0xabcd);
            for (const auto &[first, count, k0, k1] :
                 {std::array<int64_t, 4>{0, 64, 0, 512}, {64, 3, 32, 256}, {16, 17, 480, 512}}) {
                pack_rows(bytes.data() + first * row_bytes, row_bytes, count, k0, k1, panel.data());
                for (int64_t k = k0; k < k1; ++k) {
                    for (int64_t j = 0; j < (count + 15) / 16 * 16; ++j) {
                        const uint16_t want = j < count ? at(first + j, k) : uint16_t(0);
                        ASSERT_EQ(panel[size_t(((k - k0) / 2 * slm::kPanel + j) * 2 + (k - k0) % 2)], want)
                            << k << ", " << j;
                    }
                }
            }
            for (const auto &[k0, count, column, width] :
                 {std::array<int64_t, 4>{0, 67, 64, 64}, {11, 5, 480, 32}, {66, 1, 0, 64}}) {
                pack_columns(bytes.data() + k0 * row_bytes, row_bytes, count, column, width, panel.data());
                for (int64_t k = 0; k < (count + 1) / 2 * 2; ++k) {
                    for (int64_t j = 0; j < width; ++j) {
                        const uint16_t want = k < count ? at(k0 + k, column + j) : uint16_t(0);
                        ASSERT_EQ(panel[size_t((k / 2 * slm::kPanel + j) * 2 + k % 2)], want) << k << ", " << j;
                    }
                }
            }
        }
    }
}

TEST(Lookup, TurnedRows) {
    Random random(222);
    for (const slm::Kernels *kernels : available_kernels()) {
        for (int64_t rows : {1, 2, 7, 32, 48, 65}) {
            for (int64_t columns : {1, 3, 16, 40}) {
                const int64_t ld = columns + 3, even = rows + rows % 2;
                std::vector<uint16_t> in, out(size_t(columns * even) + 1, 0xabcd);
                for (int64_t i = 0; i < rows * ld; ++i) in.push_back(uint16_t(random.below(65536)));
                kernels->turn_bf16(in.data(), ld, rows, columns, out.data(), even);
                for (int64_t j = 0; j < columns; ++j) {
                    for (int64_t i = 0; i < even; ++i)
                        ASSERT_EQ(out[size_t(j * even + i)], i < rows ? in[size_t(i * ld + j)] : 0) << kernels->name;
                }
                EXPECT_EQ(out.back(), 0xabcd);
            }
        }
    }
}

}  // namespace
