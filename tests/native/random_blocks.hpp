// Random weights of any block format: every code and sign appears, scales are set so that values stay near 0.3.
#pragma once

#include <map>

#include "quant/quant.hpp"
#include "test_tools.hpp"

namespace slm_test {

/// Where a block keeps its f16 scales and the biased f16 exponents that suit them.
struct ScaleField {
    int offset;
    int exponent;
    int sign;  ///< 0: random
};

inline std::vector<ScaleField> scale_fields(uint32_t type) {
    switch (type) {
        case 2:
            return {{0, 10, 0}};  // q4_0
        case 3:
            return {{0, 10, 1}, {2, 13, -1}};  // q4_1: d up, m down, so that values straddle zero
        case 6:
            return {{0, 9, 0}};  // q5_0
        case 7:
            return {{0, 9, 1}, {2, 13, -1}};  // q5_1
        case 8:
            return {{0, 6, 0}};  // q8_0
        case 12:
            return {{0, 3, 1}, {2, 6, 1}};  // q4_k
        case 13:
            return {{0, 2, 1}, {2, 6, 1}};  // q5_k
        case 14:
            return {{208, 1, 0}};  // q6_k
        case 10:
            return {{80, 6, 1}, {82, 7, 1}};  // q2_k
        case 11:
            return {{108, 5, 0}};  // q3_k
        case 16:
        case 17:
        case 22:
        case 20:
            return {{0, 6, 0}};  // iq2_xxs, iq2_xs, iq2_s, iq4_nl
        case 18:
        case 21:
            return {{0, 5, 0}};  // iq3_xxs, iq3_s
        case 19:
            return {{0, 10, 0}};  // iq1_s
        case 23:
            return {{0, 2, 0}};  // iq4_xs
        case 34:
            return {{52, 13, 0}};  // tq1_0
        case 35:
            return {{64, 13, 0}};  // tq2_0
        default:
            return {};
    }
}

/// n_values must be a multiple of the type's block.
inline std::vector<uint8_t> random_blocks(uint32_t type_id, int64_t n_values, Random &random) {
    const slm::QuantType *type = slm::find_quant_type(type_id);
    if (!type || n_values % type->block_values != 0) {
        ADD_FAILURE() << "random_blocks: type " << type_id << ", " << n_values << " values";
        return {};
    }
    std::vector<uint8_t> bytes(size_t(n_values / type->block_values * type->block_bytes));
    if (type->block_values == 1) {  // floats: f32, or its upper half (bf16), or f16 with exponents 2^-5 .. 2^-1
        for (int64_t i = 0; i < n_values; ++i) {
            const float v = float(random.value() * 0.5);
            uint32_t bits;
            std::memcpy(&bits, &v, 4);
            const uint16_t upper = uint16_t(bits >> 16);
            const uint16_t half = uint16_t((random.bits() & 0x83ff) | uint64_t(10 + random.below(4)) << 10);
            if (type_id == 0) std::memcpy(&bytes[size_t(4 * i)], &v, 4);
            if (type_id == 1) std::memcpy(&bytes[size_t(2 * i)], &half, 2);
            if (type_id == 30) std::memcpy(&bytes[size_t(2 * i)], &upper, 2);
        }
        return bytes;
    }
    for (uint8_t &b : bytes) b = uint8_t(random.bits());
    for (size_t block = 0; block < bytes.size(); block += size_t(type->block_bytes)) {
        for (const ScaleField &field : scale_fields(type_id)) {
            uint16_t bits = uint16_t((random.bits() & 0x83ff) | uint64_t(field.exponent) << 10);
            if (field.sign > 0) bits &= 0x7fff;
            if (field.sign < 0) bits |= 0x8000;
            std::memcpy(&bytes[block + size_t(field.offset)], &bits, 2);
        }
        // Scales that are not an f16 in one place: iq1_m's exponent bits, mxfp4's power of two, nvfp4's four E4M3.
        if (type_id == 29) bytes[block + 55] = uint8_t((bytes[block + 55] & 0x8f) | 0x20);
        if (type_id == 39) bytes[block] = uint8_t(122 + random.below(4));
        if (type_id == 40) {
            for (size_t i = 0; i < 4; ++i) bytes[block + i] = uint8_t(16 + random.below(24));
        }
    }
    return bytes;
}

inline std::vector<float> dequantized(uint32_t type_id, const std::vector<uint8_t> &bytes) {
    const slm::QuantType *type = slm::find_quant_type(type_id);
    std::vector<float> out(bytes.size() / size_t(type->block_bytes) * size_t(type->block_values));
    type->dequantize(bytes.data(), out.data(), int64_t(out.size()));
    return out;
}

}  // namespace slm_test
