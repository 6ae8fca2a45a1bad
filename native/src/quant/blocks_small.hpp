// Ternary types TQ1_0 and TQ2_0, and the four-bit floats MXFP4 and NVFP4.
#pragma once

#include "quant/half.hpp"

namespace slm {
namespace {

/// Digit n of a byte that holds base-3 digits as a fraction of 256; result -1, 0 or 1.
inline int trit(uint8_t packed, int power_of_three) {
    return (uint8_t(packed * power_of_three) * 3 >> 8) - 1;
}

/// Block of 256: 48 bytes of 5 trits, 4 bytes of 4 trits, f16 d. Digit n of the first 32 bytes gives values 32 n ...,
/// of the next 16 bytes 160 + 16 n ..., of the last four 240 + 4 n ...
inline void dequantize_tq1_0(const void *src, float *dst, int64_t n_values) {
    constexpr int powers[5] = {1, 3, 9, 27, 81};
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 54) {
        const float d = load_f16(block + 52);
        for (int n = 0; n < 5; ++n) {
            for (int j = 0; j < 32; ++j) *dst++ = float(trit(block[j], powers[n])) * d;
        }
        for (int n = 0; n < 5; ++n) {
            for (int j = 32; j < 48; ++j) *dst++ = float(trit(block[j], powers[n])) * d;
        }
        for (int n = 0; n < 4; ++n) {
            for (int j = 48; j < 52; ++j) *dst++ = float(trit(block[j], powers[n])) * d;
        }
    }
}

/// Block of 256: 64 bytes of two-bit codes, f16 d; code l of 32 bytes gives 32 values. x = (q - 1) d
inline void dequantize_tq2_0(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 66) {
        const float d = load_f16(block + 64);
        for (int half = 0; half < 2; ++half) {
            for (int l = 0; l < 4; ++l, dst += 32) {
                for (int j = 0; j < 32; ++j) dst[j] = float((block[32 * half + j] >> (2 * l) & 3) - 1) * d;
            }
        }
    }
}

/// Twice the value of an E2M1 code; minus zero is zero.
constexpr int8_t fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// 2^(e - 128): half of an E8M0 scale, subnormal below e = 2.
inline float e8m0_half(uint8_t e) {
    return float_from_bits(e < 2 ? 0x00200000u << e : uint32_t(e - 1) << 23);
}

/// Block of 32: E8M0 scale, 16 bytes of codes as in Q4_0.
inline void dequantize_mxfp4(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 32, block += 17, dst += 32) {
        const float d = e8m0_half(block[0]);
        for (int j = 0; j < 16; ++j) {
            dst[j] = float(fp4_values[block[1 + j] & 15]) * d;
            dst[j + 16] = float(fp4_values[block[1 + j] >> 4]) * d;
        }
    }
}

/// Half of an unsigned E4M3 scale; 0x7f is no number and reads as 0, as libggml has it.
inline float ue4m3_half(uint8_t x) {
    const uint32_t exponent = x >> 3 & 15, mantissa = x & 7;
    if ((x & 127) == 127) return 0;
    if (exponent == 0) return float(mantissa) * 0x1p-10f;
    return float_from_bits((exponent + 119) << 23 | mantissa << 20);
}

/// Block of 64: 4 UE4M3 scales, one per 16 values, then 8 bytes of codes for each, low nibbles first.
inline void dequantize_nvfp4(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 64, block += 36) {
        for (int part = 0; part < 4; ++part, dst += 16) {
            const float d = ue4m3_half(block[part]);
            const uint8_t *q = block + 4 + 8 * part;
            for (int j = 0; j < 8; ++j) {
                dst[j] = float(fp4_values[q[j] & 15]) * d;
                dst[j + 8] = float(fp4_values[q[j] >> 4]) * d;
            }
        }
    }
}

}  // namespace
}  // namespace slm
