// Blocks of 256 values with scales per 16 or 32 of them: Q2_K, Q3_K, Q4_K, Q5_K, Q6_K.
#pragma once

#include "quant/half.hpp"

namespace slm {
namespace {

struct ScaleMin {
    int scale;
    int min;
};

/// Pair j (0-7) of the 12 bytes of 6-bit scales and mins of Q4_K and Q5_K: pairs 0-3 fill the low six bits of bytes
/// 0-3 and 4-7, pairs 4-7 keep four bits in bytes 8-11 and two in the spare top bits of the first eight.
inline ScaleMin scale_min_k4(const uint8_t *packed, int j) {
    if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
    return {(packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4, packed[j + 4] >> 4 | (packed[j] >> 6) << 4};
}

/// Block: 16 bytes of scale and min nibbles, 64 bytes of two-bit codes, f16 d, f16 dmin. Each half of the block holds
/// four runs of 32 values: run r takes bits 2r of its 32 bytes. x = (d scale) q - (dmin min)
inline void dequantize_q2_k(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 84) {
        const float d = load_f16(block + 80);
        const float dmin = load_f16(block + 82);
        for (int part = 0; part < 16; ++part, dst += 16) {
            const float scale = d * float(block[part] & 15);
            const float min = dmin * float(block[part] >> 4);
            const uint8_t *q = block + 16 + 32 * (part / 8) + 16 * (part % 2);
            const int shift = 2 * (part / 2 % 4);
            for (int j = 0; j < 16; ++j) dst[j] = scale * float(q[j] >> shift & 3) - min;
        }
    }
}

/// Block: 32 bytes of third bits (bit r of byte j: value j of run r), 64 bytes of two-bit codes as in Q2_K, 12 bytes of
/// 6-bit scales (low nibbles of scales 0-7 then 8-15 in 8 bytes, then upper bit pairs), f16 d.
/// x = (d (scale - 32)) (q - (third bit ? 0 : 4))
inline void dequantize_q3_k(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 110) {
        const float d = load_f16(block + 108);
        const uint8_t *scales = block + 96;
        for (int part = 0; part < 16; ++part, dst += 16) {
            const int low = scales[part % 8] >> (part / 8 * 4) & 15;
            const int upper = scales[8 + part % 4] >> (part / 4 * 2) & 3;
            const float scale = d * float((low | upper << 4) - 32);
            const uint8_t *q = block + 32 + 32 * (part / 8) + 16 * (part % 2);
            const uint8_t *high = block + 16 * (part % 2);
            const int shift = 2 * (part / 2 % 4), bit = part / 2;
            for (int j = 0; j < 16; ++j) {
                dst[j] = scale * float((q[j] >> shift & 3) - (high[j] >> bit & 1 ? 0 : 4));
            }
        }
    }
}

/// Block: f16 d, f16 dmin, 12 bytes of scales, 128 bytes of nibbles. Each 32 bytes hold 64 values, low nibbles first.
/// x = (d scale) q - (dmin min)
inline void dequantize_q4_k(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 144) {
        const float d = load_f16(block);
        const float dmin = load_f16(block + 2);
        const uint8_t *q = block + 16;
        for (int pair = 0; pair < 4; ++pair, q += 32, dst += 64) {
            const ScaleMin first = scale_min_k4(block + 4, 2 * pair);
            const ScaleMin second = scale_min_k4(block + 4, 2 * pair + 1);
            const float d1 = d * float(first.scale), m1 = dmin * float(first.min);
            const float d2 = d * float(second.scale), m2 = dmin * float(second.min);
            for (int j = 0; j < 32; ++j) dst[j] = d1 * float(int(q[j] & 15)) - m1;
            for (int j = 0; j < 32; ++j) dst[j + 32] = d2 * float(int(q[j] >> 4)) - m2;
        }
    }
}

/// Block: f16 d, f16 dmin, 12 bytes of scales, 32 bytes of fifth bits (bit s of byte j: value j of sub-block s), 128
/// bytes of nibbles as in Q4_K. x = (d scale) q - (dmin min)
inline void dequantize_q5_k(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 176) {
        const float d = load_f16(block);
        const float dmin = load_f16(block + 2);
        const uint8_t *high = block + 16;
        const uint8_t *q = block + 48;
        for (int pair = 0; pair < 4; ++pair, q += 32, dst += 64) {
            const ScaleMin first = scale_min_k4(block + 4, 2 * pair);
            const ScaleMin second = scale_min_k4(block + 4, 2 * pair + 1);
            const float d1 = d * float(first.scale), m1 = dmin * float(first.min);
            const float d2 = d * float(second.scale), m2 = dmin * float(second.min);
            for (int j = 0; j < 32; ++j) {
                dst[j] = d1 * float((q[j] & 15) + ((high[j] >> (2 * pair) & 1) << 4)) - m1;
            }
            for (int j = 0; j < 32; ++j) {
                dst[j + 32] = d2 * float((q[j] >> 4) + ((high[j] >> (2 * pair + 1) & 1) << 4)) - m2;
            }
        }
    }
}

/// Block: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, f16 d. Each half of the block holds
/// four runs of 32 values: low nibbles of 64 bytes, then their high nibbles; run r takes bits 2r of the 32 upper bytes.
/// x = (d scale) (q - 32)
inline void dequantize_q6_k(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 210) {
        const float d = load_f16(block + 208);
        for (int half = 0; half < 2; ++half) {
            const uint8_t *low = block + 64 * half;
            const uint8_t *high = block + 128 + 32 * half;
            const uint8_t *scales = block + 192 + 8 * half;
            for (int run = 0; run < 4; ++run, dst += 32) {
                const uint8_t *q = low + 32 * (run & 1);
                const int shift = run < 2 ? 0 : 4;
                for (int part = 0; part < 2; ++part) {
                    const float scale = d * float(int(int8_t(scales[2 * run + part])));
                    for (int j = 16 * part; j < 16 * part + 16; ++j) {
                        const int value = (q[j] >> shift & 15) | (high[j] >> (2 * run) & 3) << 4;
                        dst[j] = scale * float(value - 32);
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace slm
