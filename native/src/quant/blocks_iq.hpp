// Codebook types: IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, and the non-linear IQ4_NL, IQ4_XS. All but
// IQ4_NL have blocks of 256 values.
#pragma once

#include "quant/half.hpp"
#include "quant/tables.hpp"

namespace slm {
namespace {

/// Seven stored signs; the eighth makes their number even.
inline uint32_t signs_of(uint32_t seven) {
    seven &= 127;
    return seven | (uint32_t(__builtin_popcount(seven)) & 1u) << 7;
}

/// Eight values of an IQ2 grid entry, bit j of signs negates value j.
inline void put_iq2(uint32_t entry, uint32_t signs, float scale, float *dst) {
    for (int j = 0; j < 8; ++j) {
        const uint32_t level = entry >> (2 * j) & 3;
        const float value = scale * float(level == 0 ? 8 : level == 1 ? 25 : 43);
        dst[j] = signs >> j & 1 ? -value : value;
    }
}

/// Block: f16 d, 8 x (4 grid bytes, u32 of 4 x 7 signs and a 4-bit scale). x = d (0.5 + scale) / 4 * grid
inline void dequantize_iq2_xxs(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 66) {
        const float d = load_f16(block);
        for (int part = 0; part < 8; ++part) {
            const uint8_t *indices = block + 2 + 8 * part;
            const uint32_t packed = load_u32(indices + 4);
            const float scale = d * (0.5f + float(packed >> 28)) * 0.25f;
            for (int l = 0; l < 4; ++l, dst += 8) {
                put_iq2(iq2_xxs_grid[indices[l]], signs_of(packed >> (7 * l)), scale, dst);
            }
        }
    }
}

/// Block: f16 d, 32 x u16 (9 bits of grid, 7 signs), 16 4-bit scales. x = d (0.5 + scale) / 4 * grid
inline void dequantize_iq2_xs(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 74) {
        const float d = load_f16(block);
        for (int group = 0; group < 32; ++group, dst += 8) {
            const uint32_t packed = load_u16(block + 2 + 2 * group);
            const int nibble = block[66 + group / 4] >> (group / 2 % 2 * 4) & 15;
            const float scale = d * (0.5f + float(nibble)) * 0.25f;
            put_iq2(iq2_xs_grid[packed & 511], signs_of(packed >> 9), scale, dst);
        }
    }
}

/// Block: f16 d, 32 grid bytes, 32 sign bytes, 8 bytes of upper grid bits, 16 4-bit scales. x = d (0.5 + scale) / 4
/// grid
inline void dequantize_iq2_s(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 82) {
        const float d = load_f16(block);
        for (int group = 0; group < 32; ++group, dst += 8) {
            const int upper = block[66 + group / 4] >> (2 * (group % 4)) & 3;
            const int nibble = block[74 + group / 4] >> (group / 2 % 2 * 4) & 15;
            const float scale = d * (0.5f + float(nibble)) * 0.25f;
            put_iq2(iq2_s_grid[block[2 + group] | upper << 8], block[34 + group], scale, dst);
        }
    }
}

/// Block: f16 d, 64 grid bytes, 8 x u32 of 4 x 7 signs and a 4-bit scale. x = d (0.5 + scale) / 2 * grid
inline void dequantize_iq3_xxs(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 98) {
        const float d = load_f16(block);
        for (int group = 0; group < 64; ++group, dst += 4) {
            const uint32_t packed = load_u32(block + 66 + group / 8 * 4);
            const float scale = d * (0.5f + float(packed >> 28)) * 0.5f;
            const uint32_t signs = signs_of(packed >> (7 * (group / 2 % 4))) >> (group % 2 * 4);
            const uint32_t entry = iq3_xxs_grid[block[2 + group]];
            for (int j = 0; j < 4; ++j) {
                const int level = int(entry >> (3 * j) & 7);
                const float value = scale * float(level == 7 ? 62 : 4 + 8 * level);
                dst[j] = signs >> j & 1 ? -value : value;
            }
        }
    }
}

/// Block: f16 d, 64 grid bytes, 64 ninth bits, 32 sign bytes, 8 4-bit scales. x = d (1 + 2 scale) grid
inline void dequantize_iq3_s(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 110) {
        const float d = load_f16(block);
        for (int group = 0; group < 64; ++group, dst += 4) {
            const int upper = block[66 + group / 8] >> (group % 8) & 1;
            const int signs = block[74 + group / 2] >> (group % 2 * 4);
            const int nibble = block[106 + group / 16] >> (group / 8 % 2 * 4) & 15;
            const float scale = d * float(1 + 2 * nibble);
            const uint32_t entry = iq3_s_grid[block[2 + group] | upper << 8];
            for (int j = 0; j < 4; ++j) {
                const float value = scale * float(1 + 2 * int(entry >> (3 * j) & 7));
                dst[j] = signs >> j & 1 ? -value : value;
            }
        }
    }
}

/// Eight values of the IQ1 grid, each moved by delta.
inline void put_iq1(uint32_t entry, float delta, float scale, float *dst) {
    for (int j = 0; j < 8; ++j) dst[j] = scale * (float(int(entry >> (2 * j) & 3) - 1) + delta);
}

/// Block: f16 d, 32 grid bytes, 8 x u16 (4 x 3 upper grid bits, 3-bit scale, sign of delta).
/// x = d (2 scale + 1) (grid +- 1/8)
inline void dequantize_iq1_s(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 50) {
        const float d = load_f16(block);
        for (int group = 0; group < 32; ++group, dst += 8) {
            const int packed = load_u16(block + 34 + group / 4 * 2);
            const float scale = d * float(2 * (packed >> 12 & 7) + 1);
            const int upper = packed >> (3 * (group % 4)) & 7;
            put_iq1(iq1_grid[block[2 + group] | upper << 8], packed & 0x8000 ? -0.125f : 0.125f, scale, dst);
        }
    }
}

/// Block: 32 grid bytes, 16 bytes of nibbles (3 upper grid bits, sign of delta), 4 x u16 of 4 x 3-bit scales; the top
/// nibbles of those four make the f16 d. x = d (2 scale + 1) (grid +- 1/8)
inline void dequantize_iq1_m(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 56) {
        uint32_t bits = 0;
        for (int part = 0; part < 4; ++part) bits |= uint32_t(load_u16(block + 48 + 2 * part)) >> 12 << (4 * part);
        const float d = f16_to_f32(uint16_t(bits));
        for (int group = 0; group < 32; ++group, dst += 8) {
            const int scales = load_u16(block + 48 + group / 8 * 2);
            const float scale = d * float(2 * (scales >> (group / 2 % 4 * 3) & 7) + 1);
            const int nibble = block[32 + group / 2] >> (group % 2 * 4) & 15;
            put_iq1(iq1_grid[block[group] | (nibble & 7) << 8], nibble & 8 ? -0.125f : 0.125f, scale, dst);
        }
    }
}

/// What the 16 codes of IQ4 mean.
constexpr int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// Block of 32: f16 d, 16 bytes of nibbles as in Q4_0. x = d value[q]
inline void dequantize_iq4_nl(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 32, block += 18, dst += 32) {
        const float d = load_f16(block);
        for (int j = 0; j < 16; ++j) {
            dst[j] = d * float(iq4_values[block[2 + j] & 15]);
            dst[j + 16] = d * float(iq4_values[block[2 + j] >> 4]);
        }
    }
}

/// Block: f16 d, u16 of 8 x 2 upper scale bits, 8 lower scale nibbles, 128 bytes of nibbles. x = d (scale - 32)
/// value[q]
inline void dequantize_iq4_xs(const void *src, float *dst, int64_t n_values) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n_values; i += 256, block += 136) {
        const float d = load_f16(block);
        const int upper = load_u16(block + 2);
        for (int part = 0; part < 8; ++part, dst += 32) {
            const int low = block[4 + part / 2] >> (part % 2 * 4) & 15;
            const float scale = d * float((low | (upper >> (2 * part) & 3) << 4) - 32);
            const uint8_t *q = block + 8 + 16 * part;
            for (int j = 0; j < 16; ++j) {
                dst[j] = scale * float(iq4_values[q[j] & 15]);
                dst[j + 16] = scale * float(iq4_values[q[j] >> 4]);
            }
        }
    }
}

}  // namespace
}  // namespace slm
