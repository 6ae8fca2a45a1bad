// Float types and the blocks of 32 values with one scale: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
#pragma once

#include "quant/half.hpp"

namespace slm {
namespace {

inline void dequantize_f32(const void *src, float *dst, int64_t n_values) {
    std::memcpy(dst, src, size_t(n_values) * sizeof(float));
}

inline void dequantize_f16(const void *src, float *dst, int64_t n_values) {
    const uint8_t *p = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; ++i) dst[i] = f16_to_f32(load_u16(p + 2 * i));
}

inline void dequantize_bf16(const void *src, float *dst, int64_t n_values) {
    const uint8_t *p = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; ++i) dst[i] = bf16_to_f32(load_u16(p + 2 * i));
}

// Low nibbles are values 0-15 of the block, high nibbles 16-31.

/// Block: f16 d, 16 bytes of nibbles. x = (q - 8) d
inline void dequantize_q4_0(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 32, block += 18, dst += 32) {
        const float d = load_f16(block);
        const uint8_t *q = block + 2;
        for (int j = 0; j < 16; ++j) {
            dst[j] = float(int(q[j] & 15) - 8) * d;
            dst[j + 16] = float(int(q[j] >> 4) - 8) * d;
        }
    }
}

/// Block: f16 d, f16 m, 16 bytes of nibbles. x = q d + m
inline void dequantize_q4_1(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 32, block += 20, dst += 32) {
        const float d = load_f16(block);
        const float m = load_f16(block + 2);
        const uint8_t *q = block + 4;
        for (int j = 0; j < 16; ++j) {
            dst[j] = float(int(q[j] & 15)) * d + m;
            dst[j + 16] = float(int(q[j] >> 4)) * d + m;
        }
    }
}

/// Block: f16 d, 32 fifth bits, 16 bytes of nibbles. x = (q - 16) d
inline void dequantize_q5_0(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 32, block += 22, dst += 32) {
        const float d = load_f16(block);
        const uint32_t high = load_u32(block + 2);
        const uint8_t *q = block + 6;
        for (int j = 0; j < 16; ++j) {
            const int low_value = int(q[j] & 15) | int((high >> j & 1u) << 4);
            const int high_value = int(q[j] >> 4) | int((high >> (j + 16) & 1u) << 4);
            dst[j] = float(low_value - 16) * d;
            dst[j + 16] = float(high_value - 16) * d;
        }
    }
}

/// Block: f16 d, f16 m, 32 fifth bits, 16 bytes of nibbles. x = q d + m
inline void dequantize_q5_1(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 32, block += 24, dst += 32) {
        const float d = load_f16(block);
        const float m = load_f16(block + 2);
        const uint32_t high = load_u32(block + 4);
        const uint8_t *q = block + 8;
        for (int j = 0; j < 16; ++j) {
            const int low_value = int(q[j] & 15) | int((high >> j & 1u) << 4);
            const int high_value = int(q[j] >> 4) | int((high >> (j + 16) & 1u) << 4);
            dst[j] = float(low_value) * d + m;
            dst[j + 16] = float(high_value) * d + m;
        }
    }
}

/// Block: f16 d, 32 signed bytes. x = q d
inline void dequantize_q8_0(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 32, block += 34, dst += 32) {
        const float d = load_f16(block);
        const uint8_t *q = block + 2;
        for (int j = 0; j < 32; ++j) dst[j] = float(int(int8_t(q[j]))) * d;
    }
}

}  // namespace
}  // namespace slm
