// The two- and three-bit K types, codebook, ternary and float types, by hand: blocks of chosen codes, values worked out
// from the format's description.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "quant/tables.hpp"
#include "quant_vectors.hpp"

namespace {

using namespace slm_test;

TEST(QuantSmall, Q2_K) {
    Bytes b;
    for (int i = 0; i < 16; ++i) b.byte(i | (15 - i) << 4);
    for (int i = 0; i < 64; ++i) b.byte(i * 37 & 255);
    b.f16(f16_two).f16(f16_half);
    const std::vector<float> got = dequantize(10, b.data);
    for (int v = 0; v < 256; ++v) {
        const int run = v % 128 / 32, q = ((32 * (v / 128) + v % 32) * 37 & 255) >> (2 * run) & 3, part = v / 16;
        EXPECT_EQ(got[size_t(v)], 2.0f * float(part * q) - 0.5f * float(15 - part)) << v;
    }
}

TEST(QuantSmall, Q3_K) {
    const int scales[16] = {0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 63, 1, 33};
    Bytes b;
    for (int i = 0; i < 32; ++i) b.byte(i * 29 + 3);
    for (int i = 0; i < 64; ++i) b.byte(i * 37 & 255);
    for (int i = 0; i < 8; ++i) b.byte((scales[i] & 15) | (scales[i + 8] & 15) << 4);
    for (int i = 0; i < 4; ++i) {
        b.byte(scales[i] >> 4 | scales[i + 4] >> 4 << 2 | scales[i + 8] >> 4 << 4 | scales[i + 12] >> 4 << 6);
    }
    b.f16(f16_half);
    const std::vector<float> got = dequantize(11, b.data);
    for (int v = 0; v < 256; ++v) {
        const int run = v % 128 / 32, q = ((32 * (v / 128) + v % 32) * 37 & 255) >> (2 * run) & 3;
        const bool third = ((v % 32) * 29 + 3) >> (v / 32) & 1;
        EXPECT_EQ(got[size_t(v)], 0.5f * float((scales[v / 16] - 32) * (q - (third ? 0 : 4)))) << v;
    }
}

const float iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

TEST(QuantSmall, IQ4_NL) {
    Bytes b;
    b.f16(f16_minus_two);
    for (int j = 0; j < 16; ++j) b.byte(j | (15 - j) << 4);
    const std::vector<float> got = dequantize(20, b.data);
    for (int j = 0; j < 16; ++j) {
        EXPECT_EQ(got[size_t(j)], -2 * iq4[j]);
        EXPECT_EQ(got[size_t(j + 16)], -2 * iq4[15 - j]);
    }
}

TEST(QuantSmall, IQ4_XS) {
    const int scales[8] = {0, 63, 32, 33, 31, 16, 47, 5};
    int upper = 0;
    for (int i = 0; i < 8; ++i) upper |= scales[i] >> 4 << (2 * i);
    Bytes b;
    b.f16(f16_half).f16(uint16_t(upper));
    for (int i = 0; i < 4; ++i) b.byte((scales[2 * i] & 15) | (scales[2 * i + 1] & 15) << 4);
    for (int i = 0; i < 128; ++i) b.byte(i * 37 & 255);
    const std::vector<float> got = dequantize(23, b.data);
    for (int v = 0; v < 256; ++v) {
        const int byte = (16 * (v / 32) + v % 16) * 37 & 255;
        const float want = 0.5f * float(scales[v / 32] - 32) * iq4[v % 32 < 16 ? byte & 15 : byte >> 4];
        EXPECT_EQ(got[size_t(v)], want) << v;
    }
}

/// A byte that holds digits 0, 1, 2 base 3, first digit first, as the format's fraction of 256.
int trits(const std::vector<int> &digits) {
    int value = 0;
    for (int digit : digits) value = value * 3 + digit;
    for (size_t n = digits.size(); n < 5; ++n) value *= 3;
    return (value * 256 + 242) / 243;
}

TEST(QuantSmall, TQ1_0) {
    const auto digit = [](int v) { return (v * v + v / 7) % 3; };  // of value v
    Bytes b;
    for (int j = 0; j < 32; ++j) b.byte(trits({digit(j), digit(32 + j), digit(64 + j), digit(96 + j), digit(128 + j)}));
    for (int j = 0; j < 16; ++j) {
        b.byte(trits({digit(160 + j), digit(176 + j), digit(192 + j), digit(208 + j), digit(224 + j)}));
    }
    for (int j = 0; j < 4; ++j) b.byte(trits({digit(240 + j), digit(244 + j), digit(248 + j), digit(252 + j)}));
    b.f16(f16_half);
    const std::vector<float> got = dequantize(34, b.data);
    for (int v = 0; v < 256; ++v) EXPECT_EQ(got[size_t(v)], 0.5f * float(digit(v) - 1)) << v;
}

TEST(QuantSmall, TQ2_0) {
    Bytes b;
    for (int i = 0; i < 64; ++i) b.byte(i * 37 & 255);
    b.f16(f16_two);
    const std::vector<float> got = dequantize(35, b.data);
    for (int v = 0; v < 256; ++v) {
        const int q = ((32 * (v / 128) + v % 32) * 37 & 255) >> (2 * (v % 128 / 32)) & 3;
        EXPECT_EQ(got[size_t(v)], 2.0f * float(q - 1)) << v;
    }
}

const float e2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6};

TEST(QuantSmall, MXFP4) {
    for (int exponent : {0, 1, 2, 100, 127, 130}) {
        Bytes b;
        b.byte(exponent);
        for (int j = 0; j < 16; ++j) b.byte(j | (15 - j) << 4);
        const std::vector<float> got = dequantize(39, b.data);
        for (int j = 0; j < 16; ++j) {
            EXPECT_EQ(got[size_t(j)], std::ldexp(e2m1[j], exponent - 127)) << exponent;
            EXPECT_EQ(got[size_t(j + 16)], std::ldexp(e2m1[15 - j], exponent - 127)) << exponent;
        }
    }
}

TEST(QuantSmall, NVFP4) {
    // E4M3 without sign: 1.0, 1.75 x 2^-6, the subnormal 3 x 2^-9, and 1.5 x 2^8.
    const int scales[4] = {7 << 3, 1 << 3 | 6, 3, 15 << 3 | 4};
    const float values[4] = {1, 1.75f / 64, 3.0f / 512, 384};
    Bytes b;
    for (int scale : scales) b.byte(scale);
    for (int i = 0; i < 32; ++i) b.byte((i % 16) | (15 - i % 16) << 4);
    const std::vector<float> got = dequantize(40, b.data);
    for (int v = 0; v < 64; ++v) {
        const int byte_index = 8 * (v / 16) + v % 8, low = byte_index % 16;
        EXPECT_EQ(got[size_t(v)], values[v / 16] * e2m1[v % 16 < 8 ? low : 15 - low]) << v;
    }
}

// The codebook types: first and last entries of each grid, written out.
const float iq2_first[8] = {8, 8, 8, 8, 8, 8, 8, 8}, iq2_xxs_last[8] = {8, 25, 8, 8, 25, 43, 43, 43};
const float iq2_last[8] = {43, 43, 43, 43, 43, 43, 43, 43};

/// Seven sign bits and what they mean: the eighth makes the count even.
constexpr int seven_signs = 0x0b;
const float seven_signs_meaning[8] = {-1, -1, 1, -1, 1, 1, 1, -1};

TEST(QuantCodebook, IQ2_XXS) {
    Bytes b;
    b.f16(f16_two);
    for (int part = 0; part < 8; ++part) {
        b.byte(0).byte(255).byte(0).byte(255);
        const uint32_t packed = uint32_t(seven_signs) << 7 | uint32_t(part + 3) << 28;  // signs for the second group
        b.f16(uint16_t(packed)).f16(uint16_t(packed >> 16));
    }
    const std::vector<float> got = dequantize(16, b.data);
    for (int v = 0; v < 256; ++v) {
        const float scale = 2.0f * (0.5f + float(v / 32 + 3)) / 4;
        const int group = v / 8 % 4;
        const float *entry = group % 2 ? iq2_xxs_last : iq2_first;
        const float want = entry[v % 8] * (group == 1 ? seven_signs_meaning[v % 8] : 1);
        EXPECT_EQ(got[size_t(v)], scale * want) << v;
    }
}

TEST(QuantCodebook, IQ2_XS) {
    Bytes b;
    b.f16(f16_half);
    for (int group = 0; group < 32; ++group) b.f16(uint16_t(group % 2 ? 511 | seven_signs << 9 : 0));
    for (int i = 0; i < 8; ++i) b.byte(2 * i | (15 - i) << 4);
    const std::vector<float> got = dequantize(17, b.data);
    for (int v = 0; v < 256; ++v) {
        const int half = v / 16, nibble = half % 2 ? 15 - half / 2 : half / 2 * 2;
        const float value = v / 8 % 2 ? iq2_last[v % 8] * seven_signs_meaning[v % 8] : iq2_first[v % 8];
        EXPECT_EQ(got[size_t(v)], 0.5f * (0.5f + float(nibble)) / 4 * value) << v;
    }
}

TEST(QuantCodebook, IQ2_S) {
    Bytes b;
    b.f16(f16_two);
    for (int group = 0; group < 32; ++group) b.byte(group % 2 ? 255 : 0);
    for (int group = 0; group < 32; ++group) b.byte(group * 7 & 255);
    for (int i = 0; i < 8; ++i) b.byte(0xcc);  // upper bits 0, 3, 0, 3
    for (int i = 0; i < 8; ++i) b.byte(2 * i | (15 - i) << 4);
    const std::vector<float> got = dequantize(22, b.data);
    for (int v = 0; v < 256; ++v) {
        const int half = v / 16, nibble = half % 2 ? 15 - half / 2 : half / 2 * 2, signs = v / 8 * 7;
        const float *entry = v / 8 % 2 ? iq2_last : iq2_first;
        const float value = entry[v % 8] * (signs >> (v % 8) & 1 ? -1.0f : 1.0f);
        EXPECT_EQ(got[size_t(v)], 2.0f * (0.5f + float(nibble)) / 4 * value) << v;
    }
}

TEST(QuantCodebook, IQ3_XXS) {
    const float last[4] = {4, 28, 52, 62};
    Bytes b;
    b.f16(f16_two);
    for (int group = 0; group < 64; ++group) b.byte(group % 2 ? 255 : 0);
    for (int part = 0; part < 8; ++part) {
        const uint32_t packed = uint32_t(seven_signs) << 14 | uint32_t(part + 3) << 28;
        b.f16(uint16_t(packed)).f16(uint16_t(packed >> 16));
    }
    const std::vector<float> got = dequantize(18, b.data);
    for (int v = 0; v < 256; ++v) {
        const float value = (v / 4 % 2 ? last[v % 4] : 4) * (v / 8 % 4 == 2 ? seven_signs_meaning[v % 8] : 1);
        EXPECT_EQ(got[size_t(v)], 2.0f * (0.5f + float(v / 32 + 3)) / 2 * value) << v;
    }
}

TEST(QuantCodebook, IQ3_S) {
    const float last[4] = {1, 1, 15, 15};
    Bytes b;
    b.f16(f16_half);
    for (int group = 0; group < 64; ++group) b.byte(group % 2 ? 255 : 0);
    for (int i = 0; i < 8; ++i) b.byte(0xaa);  // ninth bit of the odd groups
    for (int i = 0; i < 32; ++i) b.byte(i * 7 & 255);
    for (int i = 0; i < 4; ++i) b.byte(i | (15 - i) << 4);
    const std::vector<float> got = dequantize(21, b.data);
    for (int v = 0; v < 256; ++v) {
        const int part = v / 32, nibble = part % 2 ? 15 - part / 2 : part / 2, signs = v / 8 * 7 & 255;
        const float value = (v / 4 % 2 ? last[v % 4] : 1) * (signs >> (v % 8) & 1 ? -1.0f : 1.0f);
        EXPECT_EQ(got[size_t(v)], 0.5f * float(1 + 2 * nibble) * value) << v;
    }
}

TEST(QuantCodebook, IQ1_S) {
    Bytes b;
    b.f16(f16_two);
    for (int group = 0; group < 32; ++group) b.byte(group % 2 ? 255 : 0);
    // Upper grid bits 0, 7, 0, 7; scale is the part's number; odd parts move down.
    for (int part = 0; part < 8; ++part) b.f16(uint16_t(7 << 3 | 7 << 9 | part << 12 | (part % 2) << 15));
    const std::vector<float> got = dequantize(19, b.data);
    for (int v = 0; v < 256; ++v) {
        const int part = v / 32;
        const float value = (v / 8 % 2 ? 1.0f : -1.0f) + (part % 2 ? -0.125f : 0.125f);
        EXPECT_EQ(got[size_t(v)], 2.0f * float(2 * part + 1) * value) << v;
    }
}

TEST(QuantCodebook, IQ1_M) {
    // f16 1.0 = 0x3c00, its nibbles on top of the four scale words.
    Bytes b;
    for (int group = 0; group < 32; ++group) b.byte(group % 2 ? 255 : 0);
    for (int i = 0; i < 16; ++i) b.byte(i % 2 ? 0xf0 : 0x78);  // nibbles 8 7 0 15: (low bits, move down)
    for (int i = 0; i < 4; ++i) b.f16(uint16_t((f16_one >> (4 * i) & 15) << 12 | 0 | 3 << 3 | 5 << 6 | 7 << 9));
    const std::vector<float> got = dequantize(29, b.data);
    const float scales[4] = {1, 7, 11, 15};
    for (int v = 0; v < 256; ++v) {
        const int group = v / 8 % 4;
        const float delta = group == 0 || group == 3 ? -0.125f : 0.125f;
        EXPECT_EQ(got[size_t(v)], scales[v / 16 % 4] * ((group % 2 ? 1.0f : -1.0f) + delta)) << v;
    }
}

template <size_t N>
void expect_grid(const uint16_t (&grid)[N], int bits, int n_levels, int n_values) {
    std::set<uint16_t> seen(grid, grid + N);
    EXPECT_EQ(seen.size(), N) << "an entry stands twice";
    for (uint16_t entry : grid) {
        for (int j = 0; j < n_values; ++j) EXPECT_LT(entry >> (bits * j) & ((1 << bits) - 1), n_levels);
    }
}

TEST(QuantCodebook, GridsHoldDistinctEntriesOfKnownLevels) {
    expect_grid(slm::iq1_grid, 2, 3, 8);
    expect_grid(slm::iq2_xxs_grid, 2, 3, 8);
    expect_grid(slm::iq2_xs_grid, 2, 3, 8);
    expect_grid(slm::iq2_s_grid, 2, 3, 8);
    expect_grid(slm::iq3_xxs_grid, 3, 8, 4);
    expect_grid(slm::iq3_s_grid, 3, 8, 4);
}

}  // namespace
