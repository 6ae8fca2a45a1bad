// Dequantization: bit for bit against the reference file, and by hand for each type so that a clone alone tests all.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "gguf_fixture.hpp"
#include "quant_vectors.hpp"

namespace {

using namespace slm_test;

TEST(Quant, UnknownTypesAreNull) {
    EXPECT_EQ(find_quant_type(4), nullptr);  // a removed type
    EXPECT_EQ(find_quant_type(9), nullptr);  // q8_1: never in files
    EXPECT_EQ(find_quant_type(0xffffffffu), nullptr);
}

TEST(Quant, HalfConvertsEveryBitPattern) {
    std::vector<uint8_t> bytes;
    for (uint32_t h = 0; h < 65536; ++h) {
        bytes.push_back(uint8_t(h & 255));
        bytes.push_back(uint8_t(h >> 8));
    }
    const std::vector<float> got = dequantize(1, bytes);
    for (uint32_t h = 0; h < 65536; ++h) {
        const int exponent = int(h >> 10 & 31), mantissa = int(h & 1023);
        const float sign = h >> 15 ? -1.0f : 1.0f;
        if (exponent == 31 && mantissa) {
            ASSERT_TRUE(std::isnan(got[h])) << h;
            continue;
        }
        float want = std::ldexp(float(1024 + mantissa), exponent - 25);
        if (exponent == 0) want = std::ldexp(float(mantissa), -24);
        if (exponent == 31) want = std::numeric_limits<float>::infinity();
        ASSERT_EQ(got[h], sign * want) << h;
        ASSERT_EQ(std::signbit(got[h]), sign < 0) << h;
    }
}

TEST(Quant, Bf16IsTheUpperHalfOfF32) {
    const std::vector<float> got = dequantize(30, Bytes().f16(0x3f80).f16(0xc040).f16(0x8000).f16(0x0001).data);
    EXPECT_EQ(got[0], 1.0f);
    EXPECT_EQ(got[1], -3.0f);
    EXPECT_TRUE(got[2] == 0 && std::signbit(got[2]));
    EXPECT_EQ(got[3], std::ldexp(1.0f, -133));
}

TEST(Quant, F32IsCopied) {
    const float in[3] = {1.5f, -0.0f, 3e38f};
    std::vector<uint8_t> bytes(sizeof in);
    std::memcpy(bytes.data(), in, sizeof in);
    const std::vector<float> got = dequantize(0, bytes);
    EXPECT_EQ(std::memcmp(got.data(), in, sizeof in), 0);
}

TEST(Quant, Q4_0) {
    Bytes b;
    b.f16(f16_minus_two);
    for (int j = 0; j < 16; ++j) b.byte(j | (15 - j) << 4);
    const std::vector<float> got = dequantize(2, b.data);
    for (int j = 0; j < 16; ++j) {
        EXPECT_EQ(got[size_t(j)], -2.0f * float(j - 8));
        EXPECT_EQ(got[size_t(j + 16)], -2.0f * float(7 - j));
    }
}

TEST(Quant, Q4_1) {
    Bytes b;
    b.f16(f16_two).f16(f16_half);
    for (int j = 0; j < 16; ++j) b.byte(j | (15 - j) << 4);
    const std::vector<float> got = dequantize(3, b.data);
    for (int j = 0; j < 16; ++j) {
        EXPECT_EQ(got[size_t(j)], 2.0f * float(j) + 0.5f);
        EXPECT_EQ(got[size_t(j + 16)], 2.0f * float(15 - j) + 0.5f);
    }
}

TEST(Quant, Q5_0AndQ5_1) {
    // Fifth bits 0x0000ff01: set for value 0 and values 8-15; 0x8001 in the upper half: values 16 and 31.
    const uint32_t high = 0x8001ff01u;
    Bytes b0, b1;
    b0.f16(f16_two);
    b1.f16(f16_two).f16(f16_minus_two);
    for (Bytes *b : {&b0, &b1}) {
        for (int i = 0; i < 4; ++i) b->byte(int(high >> (8 * i) & 255));
        for (int j = 0; j < 16; ++j) b->byte(j | (15 - j) << 4);
    }
    const std::vector<float> got0 = dequantize(6, b0.data), got1 = dequantize(7, b1.data);
    for (int j = 0; j < 32; ++j) {
        const int q = (j < 16 ? j : 31 - j) + (high >> j & 1 ? 16 : 0);
        EXPECT_EQ(got0[size_t(j)], 2.0f * float(q - 16)) << j;
        EXPECT_EQ(got1[size_t(j)], 2.0f * float(q) - 2.0f) << j;
    }
}

TEST(Quant, Q8_0) {
    Bytes b;
    b.f16(f16_half);
    for (int j = 0; j < 32; ++j) b.byte(j * 8 - 128);
    const std::vector<float> got = dequantize(8, b.data);
    for (int j = 0; j < 32; ++j) EXPECT_EQ(got[size_t(j)], 0.5f * float(j * 8 - 128));
}

/// Scales 1, 18, 35, 52, 5, 22, 39, 56 and mins 63, 46, 29, 12, 60, 43, 26, 9 in the 12-byte form, packed here the
/// other way round from the reader: from values to bits.
const int k_scales[8] = {1, 18, 35, 52, 5, 22, 39, 56};
const int k_mins[8] = {63, 46, 29, 12, 60, 43, 26, 9};

void append_k_scales(Bytes &b) {
    for (int j = 0; j < 4; ++j) b.byte(k_scales[j] | (k_scales[j + 4] >> 4) << 6);
    for (int j = 0; j < 4; ++j) b.byte(k_mins[j] | (k_mins[j + 4] >> 4) << 6);
    for (int j = 0; j < 4; ++j) b.byte((k_scales[j + 4] & 15) | (k_mins[j + 4] & 15) << 4);
}

TEST(Quant, Q4_K) {
    Bytes b;
    b.f16(f16_two).f16(f16_half);
    append_k_scales(b);
    for (int i = 0; i < 128; ++i) b.byte(i * 37 & 255);
    const std::vector<float> got = dequantize(12, b.data);
    for (int v = 0; v < 256; ++v) {
        const int sub = v / 32, byte = ((v / 64) * 32 + v % 32) * 37 & 255;
        const int q = sub % 2 ? byte >> 4 : byte & 15;
        EXPECT_EQ(got[size_t(v)], 2.0f * float(k_scales[sub] * q) - 0.5f * float(k_mins[sub])) << v;
    }
}

TEST(Quant, Q5_K) {
    Bytes b;
    b.f16(f16_one).f16(f16_two);
    append_k_scales(b);
    for (int i = 0; i < 32; ++i) b.byte(i * 29 + 3);
    for (int i = 0; i < 128; ++i) b.byte(i * 37 & 255);
    const std::vector<float> got = dequantize(13, b.data);
    for (int v = 0; v < 256; ++v) {
        const int sub = v / 32, byte = ((v / 64) * 32 + v % 32) * 37 & 255;
        const int fifth = ((v % 32) * 29 + 3) >> sub & 1;
        const int q = (sub % 2 ? byte >> 4 : byte & 15) + 16 * fifth;
        EXPECT_EQ(got[size_t(v)], float(k_scales[sub] * q) - 2.0f * float(k_mins[sub])) << v;
    }
}

TEST(Quant, Q6_K) {
    Bytes b;
    for (int i = 0; i < 128; ++i) b.byte(i * 37 & 255);
    for (int i = 0; i < 64; ++i) b.byte(i * 59 & 255);
    for (int i = 0; i < 16; ++i) b.byte(i * 16 - 128);
    b.f16(f16_half);
    const std::vector<float> got = dequantize(14, b.data);
    for (int v = 0; v < 256; ++v) {
        const int half = v / 128, run = v % 128 / 32, j = v % 32;
        const int low = (64 * half + 32 * (run % 2) + j) * 37 & 255;
        const int q = (run < 2 ? low & 15 : low >> 4) + 16 * (((32 * half + j) * 59 & 255) >> (2 * run) & 3);
        EXPECT_EQ(got[size_t(v)], 0.5f * float((v / 16) * 16 - 128) * float(q - 32)) << v;
    }
}

TEST(Quant, ReferenceFileBitForBit) {
    const std::filesystem::path folder = slm_test::shared_folder() / "fixtures" / "quants";
    if (!std::filesystem::exists(folder / "blocks.gguf")) GTEST_SKIP() << "no " << folder.string();
    const slm_test::GgufFixture blocks(folder / "blocks.gguf"), expected(folder / "expected.gguf");
    int n_checked = 0;
    for (const auto &[name, tensor] : blocks.tensors) {
        const QuantType *type = find_quant_type(tensor.type);
        if (!type) continue;
        EXPECT_EQ(name.substr(0, name.find('.')), type->name);
        const size_t n = size_t(tensor.n_values());
        std::vector<float> got(n);
        type->dequantize(tensor.data, got.data(), int64_t(n));
        const uint8_t *want = expected.tensors.at(name).data;
        size_t first = n;
        for (size_t i = n; i-- > 0;) {
            if (std::memcmp(&got[i], want + 4 * i, 4) != 0) first = i;
        }
        float wanted = 0;
        if (first < n) std::memcpy(&wanted, want + 4 * first, 4);
        EXPECT_EQ(first, n) << name << " differs first at value " << first << ": got " << got[first % n]
                            << ", expected " << wanted;
        ++n_checked;
    }
    EXPECT_EQ(n_checked, 50);  // 25 types, two tensors each
}

}  // namespace
