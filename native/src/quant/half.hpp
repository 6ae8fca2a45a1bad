// f16 and bf16 to f32 by integer arithmetic, so that results need no F16C and loops over them vectorise.
#pragma once

#include <cstdint>
#include <cstring>

namespace slm {
namespace {

/// Bytes may lie at any address; compilers turn this into one load.
inline uint16_t load_u16(const uint8_t *p) {
    uint16_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline uint32_t load_u32(const uint8_t *p) {
    uint32_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline float float_from_bits(uint32_t bits) {
    return __builtin_bit_cast(float, bits);
}

/// Exact for every f16, subnormals, infinities and NaNs included; never makes an f32 subnormal on the way.
inline float f16_to_f32(uint16_t h) {
    const uint32_t magnitude = h & 0x7fffu;
    const uint32_t shifted = magnitude << 13;
    const uint32_t normal = shifted + (112u << 23);  // exponent bias 15 -> 127
    const uint32_t special = shifted + (224u << 23);
    // 1.m * 2^-14 less 2^-14 leaves 0.m * 2^-14: what a subnormal f16 means.
    const float subnormal = float_from_bits(shifted + (113u << 23)) - float_from_bits(113u << 23);
    uint32_t bits = magnitude >= 0x7c00u ? special : normal;
    bits = magnitude < 0x0400u ? __builtin_bit_cast(uint32_t, subnormal) : bits;
    return float_from_bits(bits | (uint32_t(h & 0x8000u) << 16));
}

inline float bf16_to_f32(uint16_t h) {
    return float_from_bits(uint32_t(h) << 16);
}

inline float load_f16(const uint8_t *p) {
    return f16_to_f32(load_u16(p));
}

}  // namespace
}  // namespace slm
