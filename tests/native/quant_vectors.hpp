// Blocks written by hand, byte by byte, for the tests of dequantization.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "quant/quant.hpp"

namespace slm_test {

using slm::find_quant_type;
using slm::QuantType;

/// Builds a block byte by byte; f16 scales are given as exact powers of two.
struct Bytes {
    std::vector<uint8_t> data;
    Bytes &f16(uint16_t bits) { return byte(bits & 255).byte(bits >> 8); }
    Bytes &byte(int v) {
        data.push_back(uint8_t(v));
        return *this;
    }
    Bytes &fill(int n, int v) {
        data.insert(data.end(), size_t(n), uint8_t(v));
        return *this;
    }
};

constexpr uint16_t f16_one = 0x3c00, f16_two = 0x4000, f16_half = 0x3800, f16_minus_two = 0xc000;

inline std::vector<float> dequantize(uint32_t id, const std::vector<uint8_t> &bytes) {
    const QuantType *type = find_quant_type(id);
    if (!type) {
        ADD_FAILURE() << "type " << id << " is unknown";
        return {};
    }
    const int64_t n_blocks = int64_t(bytes.size()) / type->block_bytes;
    EXPECT_EQ(int64_t(bytes.size()), n_blocks * type->block_bytes) << type->name;
    const size_t n = size_t(n_blocks * type->block_values);
    // The source sits at an odd address, as a view into a file may; a word after the values must survive.
    std::vector<uint8_t> shifted(bytes.size() + 1);
    std::memcpy(shifted.data() + 1, bytes.data(), bytes.size());
    std::vector<float> out(n + 1, -12345.0f);
    type->dequantize(shifted.data() + 1, out.data(), int64_t(n));
    EXPECT_EQ(out[n], -12345.0f) << type->name << " wrote past its values";
    out.resize(n);
    return out;
}

}  // namespace slm_test
