// Integer products: weights as unsigned codes with a factor and an offset, activations as two signed bytes, 256 coarse
// + fine, with a factor per 32 values: with the coarse byte alone, gradients of a reference run keep a cosine of 0.988
// to 0.995 to those in f32, below the bar. The bytes go through the same instructions one after the other. sum_k x w =
// factor_x (factor_w sum q_x q_w) + (factor_x sum q_x) offset_w for each group; the inner sums are exact.
#pragma once

#include "cpu/row_kernels.hpp"
#include "quant/blocks.hpp"

namespace slm {
namespace {

// sum[lane] += 4 products of unsigned bytes of w and signed bytes of x
static inline vi dot_quads(vi sum, vi w, vi x) {
#if defined(__AVX512VNNI__)
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)x);
#elif defined(__AVXVNNI__) && !defined(__AVX512F__)
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x);
#elif defined(__AVX512F__)
    const __m512i u = (__m512i)w, s = (__m512i)x;
    const __m512i even =
        _mm512_madd_epi16(_mm512_and_si512(u, _mm512_set1_epi16(255)), _mm512_srai_epi16(_mm512_slli_epi16(s, 8), 8));
    const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(u, 8), _mm512_srai_epi16(s, 8));
    return sum + (vi)_mm512_add_epi32(even, odd);
#elif defined(__AVX2__)
    const __m256i u = (__m256i)w, s = (__m256i)x;
    const __m256i even =
        _mm256_madd_epi16(_mm256_and_si256(u, _mm256_set1_epi16(255)), _mm256_srai_epi16(_mm256_slli_epi16(s, 8), 8));
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(u, 8), _mm256_srai_epi16(s, 8));
    return sum + (vi)_mm256_add_epi32(even, odd);
#elif defined(SLM_NEON) && defined(__ARM_FEATURE_MATMUL_INT8)
    return (vi)vusdotq_s32((int32x4_t)sum, (uint8x16_t)w, (int8x16_t)x);
#elif defined(SLM_NEON)
    const uint8x16_t u = (uint8x16_t)w;
    const int8x16_t s = (int8x16_t)x;
    const int16x8_t u_low = (int16x8_t)vmovl_u8(vget_low_u8(u)), u_high = (int16x8_t)vmovl_high_u8(u);
    const int16x8_t s_low = vmovl_s8(vget_low_s8(s)), s_high = vmovl_high_s8(s);
    const int32x4_t low = vpaddq_s32(vmull_s16(vget_low_s16(u_low), vget_low_s16(s_low)), vmull_high_s16(u_low, s_low));
    const int32x4_t high =
        vpaddq_s32(vmull_s16(vget_low_s16(u_high), vget_low_s16(s_high)), vmull_high_s16(u_high, s_high));
    return sum + (vi)vpaddq_s32(low, high);
#else
    for (int b = 0; b < 4; ++b) sum += ((w >> (8 * b)) & 255) * ((x << (24 - 8 * b)) >> 24);
    return sum;
#endif
}

typedef int32_t viu8 __attribute__((vector_size(kLanes * 4), aligned(1), may_alias));

// dots += quads [begin, end) of a group: one byte plane of x against the codes
template <int MR, int NV>
static inline void add_quads(vi (&dots)[MR][NV], int begin, int end, const uint8_t *b, const uint8_t *a,
                             int64_t row_bytes) {
#pragma GCC unroll 8
    for (int q = begin; q < end; ++q) {
        vi w[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) w[j] = *reinterpret_cast<const viu8 *>(b + q * 4 * kPanel + 4 * j * kLanes);
#pragma GCC unroll 8
        for (int i = 0; i < MR; ++i) {
            int32_t quad;
            std::memcpy(&quad, a + i * row_bytes + 4 * q, sizeof quad);
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) dots[i][j] = dot_quads(dots[i][j], w[j], vi{} + quad);
        }
    }
}

template <int MR, int NV, bool halves>
static inline void gemm_q8_micro(const GemmTileQ8 &t, int64_t m0, int64_t n0, int64_t n_valid) {
    const int64_t row_bytes = q8_row_bytes(t.columns);
    const uint8_t *a = t.a + m0 * row_bytes;
    vf sum[MR][NV];
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) sum[i][j] = vf{};
    const uint8_t *b = t.b + 4 * n0;
    constexpr int parts = halves ? 2 : 1, quads = 8 / parts;
    for (int64_t k = t.k0; k < t.k1; k += 32, b += kQ8GroupBytes) {
        const float *factors = reinterpret_cast<const float *>(b - 4 * n0 + 32 * kPanel) + n0;
        for (int part = 0; part < parts; ++part) {
            vi dots[MR][NV];
#pragma GCC unroll 8
            for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
                for (int j = 0; j < NV; ++j) dots[i][j] = vi{};
            add_quads<MR, NV>(dots, part * quads, (part + 1) * quads, b, a + k, row_bytes);
#pragma GCC unroll 8
            for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
                for (int j = 0; j < NV; ++j) dots[i][j] <<= 8;
            add_quads<MR, NV>(dots, part * quads, (part + 1) * quads, b, a + t.columns + k, row_bytes);
#pragma GCC unroll 8
            for (int i = 0; i < MR; ++i) {
                const float *row = reinterpret_cast<const float *>(a + i * row_bytes + 2 * t.columns);
                const float *sums = row + k / 16;
                const float x_factor = row[t.columns / 16 + k / 32];
                const float x_sum = halves ? sums[part] : sums[0] + sums[1];
#pragma GCC unroll 4
                for (int j = 0; j < NV; ++j) {
                    const vf dot = __builtin_convertvector(dots[i][j], vf) * x_factor;
                    sum[i][j] = fma(dot, load(factors + part * kPanel + j * kLanes), sum[i][j]);
                    sum[i][j] = fma(set1(x_sum), load(factors + (2 + part) * kPanel + j * kLanes), sum[i][j]);
                }
            }
        }
    }
    store_tile<MR, NV>(sum, t.c + m0 * t.ldc + n0, t.ldc, t.add, n_valid);
}

template <int MR, int NV, bool halves>
static void gemm_q8_tiles(const GemmTileQ8 &t) {
    constexpr int64_t step = NV * kLanes;
    for (int64_t n0 = 0; n0 < t.n; n0 += step) {
        const int64_t valid = t.n - n0 < step ? t.n - n0 : step;
        int64_t m = 0;
        for (; m + MR <= t.m; m += MR) gemm_q8_micro<MR, NV, halves>(t, m, n0, valid);
        for (; m < t.m; ++m) gemm_q8_micro<1, NV, halves>(t, m, n0, valid);
    }
}

static void gemm_q8(const GemmTileQ8 &t) {
#if SLM_VECTOR_REGISTERS == 32
    t.halves ? gemm_q8_tiles<6, 2, true>(t) : gemm_q8_tiles<6, 2, false>(t);
#else
    t.halves ? gemm_q8_tiles<4, 1, true>(t) : gemm_q8_tiles<4, 1, false>(t);
#endif
}

// 127 / x overflows below 127 / FLT_MAX.
constexpr float kSmallestQ8 = 1e-36f;

static void quantize_q8(int64_t n, ConstValues values, uint8_t *row) {
    float *sums = reinterpret_cast<float *>(row + 2 * n), *factors = sums + n / 16;
    for (int64_t k = 0; k < n; k += 32) {
        float x[32];
        copy(32, values.at(k), x);
        // As integers magnitudes have the same order, and what is not finite stands above all that is.
        uint32_t bits[32], most = 0;
        std::memcpy(bits, x, sizeof x);
        for (uint32_t b : bits) most = (b & 0x7FFFFFFF) > most ? (b & 0x7FFFFFFF) : most;
        float largest;
        std::memcpy(&largest, &most, sizeof largest);
        const bool finite = most < 0x7F800000;
        // Not finite: all of the block's products become NaN. Too small to divide by: zeros.
        const float factor = finite ? largest / (127 * 256) : NAN;
        const float inverse = finite && largest >= kSmallestQ8 ? 127 / largest : 0;
        if (inverse == 0) std::memset(x, 0, sizeof x);
        int total[2] = {0, 0};
        for (int i = 0; i < 32; ++i) {
            const float steps = x[i] * inverse, coarse = std::nearbyint(steps);
            const float fine = std::fmin(std::nearbyint((steps - coarse) * 256), 127.0f);
            row[k + i] = static_cast<uint8_t>(static_cast<int8_t>(coarse));
            row[n + k + i] = static_cast<uint8_t>(static_cast<int8_t>(fine));
            total[i / 16] += 256 * static_cast<int>(coarse) + static_cast<int>(fine);
        }
        sums[k / 16] = factor * static_cast<float>(total[0]);
        sums[k / 16 + 1] = factor * static_cast<float>(total[1]);
        factors[k / 32] = factor;
    }
}

// 32 codes of a row with the line that makes values of them: one for all, or one for each 16.
struct CodeLine {
    float factor[2], offset[2];
};

static inline void nibble_codes(const uint8_t *q, uint8_t *codes) {
    for (int i = 0; i < 16; ++i) {
        codes[i] = q[i] & 15;
        codes[16 + i] = q[i] >> 4;
    }
}
static inline void add_fifth_bits(uint32_t high, uint8_t *codes) {
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(codes[i] | (high >> i & 1) << 4);
}
static inline CodeLine one_line(float factor, float offset) {
    return {{factor, factor}, {offset, offset}};
}

struct CodesQ4_0 {
    static constexpr bool halves = false;
    static inline CodeLine take(const uint8_t *row, int64_t group, uint8_t *codes) {
        const uint8_t *block = row + 18 * group;
        nibble_codes(block + 2, codes);
        const float d = load_f16(block);
        return one_line(d, -8 * d);
    }
};
struct CodesQ4_1 {
    static constexpr bool halves = false;
    static inline CodeLine take(const uint8_t *row, int64_t group, uint8_t *codes) {
        const uint8_t *block = row + 20 * group;
        nibble_codes(block + 4, codes);
        return one_line(load_f16(block), load_f16(block + 2));
    }
};
struct CodesQ5_0 {
    static constexpr bool halves = false;
    static inline CodeLine take(const uint8_t *row, int64_t group, uint8_t *codes) {
        const uint8_t *block = row + 22 * group;
        nibble_codes(block + 6, codes);
        add_fifth_bits(load_u32(block + 2), codes);
        const float d = load_f16(block);
        return one_line(d, -16 * d);
    }
};
struct CodesQ5_1 {
    static constexpr bool halves = false;
    static inline CodeLine take(const uint8_t *row, int64_t group, uint8_t *codes) {
        const uint8_t *block = row + 24 * group;
        nibble_codes(block + 8, codes);
        add_fifth_bits(load_u32(block + 4), codes);
        return one_line(load_f16(block), load_f16(block + 2));
    }
};
struct CodesQ8_0 {
    static constexpr bool halves = false;
    static inline CodeLine take(const uint8_t *row, int64_t group, uint8_t *codes) {
        const uint8_t *block = row + 34 * group;
        for (int i = 0; i < 32; ++i) codes[i] = block[2 + i] ^ 128;  // plus 128
        const float d = load_f16(block);
        return one_line(d, -128 * d);
    }
};
struct CodesIq4Nl {
    static constexpr bool halves = false;
    static inline CodeLine take(const uint8_t *row, int64_t group, uint8_t *codes) {
        const uint8_t *block = row + 18 * group;
        nibble_codes(block + 2, codes);
        for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(iq4_values[codes[i]] + 128);
        const float d = load_f16(block);
        return one_line(d, -128 * d);
    }
};
static inline void run_codes(const uint8_t *q, int sub, uint8_t *codes) {
    for (int i = 0; i < 32; ++i) codes[i] = q[32 * (sub / 2) + i] >> (sub % 2 * 4) & 15;
}
struct CodesQ4K {
    static constexpr bool halves = false;
    static inline CodeLine take(const uint8_t *row, int64_t group, uint8_t *codes) {
        const uint8_t *block = row + 144 * (group / 8);
        const int sub = static_cast<int>(group % 8);
        run_codes(block + 16, sub, codes);
        const ScaleMin s = scale_min_k4(block + 4, sub);
        return one_line(load_f16(block) * float(s.scale), -load_f16(block + 2) * float(s.min));
    }
};
struct CodesQ5K {
    static constexpr bool halves = false;
    static inline CodeLine take(const uint8_t *row, int64_t group, uint8_t *codes) {
        const uint8_t *block = row + 176 * (group / 8);
        const int sub = static_cast<int>(group % 8);
        run_codes(block + 48, sub, codes);
        for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(codes[i] | (block[16 + i] >> sub & 1) << 4);
        const ScaleMin s = scale_min_k4(block + 4, sub);
        return one_line(load_f16(block) * float(s.scale), -load_f16(block + 2) * float(s.min));
    }
};
struct CodesQ6K {
    static constexpr bool halves = true;
    static inline CodeLine take(const uint8_t *row, int64_t group, uint8_t *codes) {
        const uint8_t *block = row + 210 * (group / 8);
        const int half = static_cast<int>(group % 8 / 4), run = static_cast<int>(group % 4);
        const uint8_t *low = block + 64 * half + 32 * (run & 1), *high = block + 128 + 32 * half;
        const int shift = run < 2 ? 0 : 4;
        for (int i = 0; i < 32; ++i)
            codes[i] = static_cast<uint8_t>((low[i] >> shift & 15) | (high[i] >> (2 * run) & 3) << 4);
        const int8_t *scales = reinterpret_cast<const int8_t *>(block + 192 + 8 * half + 2 * run);
        const float d = load_f16(block + 208), first = d * float(scales[0]), second = d * float(scales[1]);
        return {{first, second}, {-32 * first, -32 * second}};
    }
};

template <class Codes>
static void pack_rows_q8(const uint8_t *w, int64_t row_bytes, int64_t n_rows, int64_t k0, int64_t k1, uint8_t *panel) {
    if (n_rows < kPanel) std::memset(panel, 0, static_cast<size_t>((k1 - k0) / 32 * kQ8GroupBytes));
    for (int64_t j = 0; j < n_rows; ++j)
        for (int64_t k = k0; k < k1; k += 32) {
            uint8_t codes[32];
            uint8_t *group = panel + (k - k0) / 32 * kQ8GroupBytes;
            const CodeLine line = Codes::take(w + j * row_bytes, k / 32, codes);
            for (int q = 0; q < 8; ++q) std::memcpy(group + (q * kPanel + j) * 4, codes + 4 * q, 4);
            float *factors = reinterpret_cast<float *>(group + 32 * kPanel) + j;
            for (int part = 0; part < 2; ++part) {
                factors[part * kPanel] = line.factor[part];
                factors[(2 + part) * kPanel] = line.offset[part];
            }
        }
}

static PackQ8 find_pack_q8(uint32_t type) {
    switch (type) {
        case 2:
            return {pack_rows_q8<CodesQ4_0>, CodesQ4_0::halves};
        case 3:
            return {pack_rows_q8<CodesQ4_1>, CodesQ4_1::halves};
        case 6:
            return {pack_rows_q8<CodesQ5_0>, CodesQ5_0::halves};
        case 7:
            return {pack_rows_q8<CodesQ5_1>, CodesQ5_1::halves};
        case 8:
            return {pack_rows_q8<CodesQ8_0>, CodesQ8_0::halves};
        case 12:
            return {pack_rows_q8<CodesQ4K>, CodesQ4K::halves};
        case 13:
            return {pack_rows_q8<CodesQ5K>, CodesQ5K::halves};
        case 14:
            return {pack_rows_q8<CodesQ6K>, CodesQ6K::halves};
        case 20:
            return {pack_rows_q8<CodesIq4Nl>, CodesIq4Nl::halves};
        default:
            return {nullptr, false};
    }
}

}  // namespace
}  // namespace slm
