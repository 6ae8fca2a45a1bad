// Products of bf16 pairs with f32 sums, and the packing that brings k-neighbours together.
// Where the core has no such instruction, pairs are widened to f32 and multiplied: same operands, other roundings.
#pragma once

#include "cpu/gemm_kernel.hpp"

namespace slm {
namespace {

typedef int32_t viu __attribute__((vector_size(kLanes * 4), aligned(2), may_alias));

static inline vi load_pairs(const uint16_t *p) {
    return *reinterpret_cast<const viu *>(p);
}
static inline vf as_float(vi x) {
    return (vf)x;
}

#if defined(__AVX512BF16__) || (defined(SLM_NEON) && defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC))
inline constexpr bool kBf16Instructions = true;
#else
inline constexpr bool kBf16Instructions = false;
#endif

// sum += lo(a) lo(b) + hi(a) hi(b) in every lane
static inline vf dot_pairs(vf sum, vi a, vi b) {
#if defined(__AVX512BF16__)
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#elif defined(SLM_NEON) && defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
    return (vf)vbfdotq_f32((float32x4_t)sum, (bfloat16x8_t)a, (bfloat16x8_t)b);
#else
    sum = fma(as_float(a << 16), as_float(b << 16), sum);
    return fma(as_float(a & ~0xFFFF), as_float(b & ~0xFFFF), sum);
#endif
}

// y may lie over x: every value is read before its place is written.
static void to_bf16(int64_t n, const float *x, uint16_t *out) {
    typedef uint16_t __attribute__((may_alias)) aliased;
    aliased *y = out;
    int64_t i = 0;
#if defined(__AVX512BF16__)
    for (; i + 32 <= n; i += 32) {
        const __m512bh pair = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(x + i));
        std::memcpy(y + i, &pair, sizeof pair);
    }
#endif
    for (; i < n; ++i) y[i] = round_bf16(x[i]);
}

template <int MR, int NV>
static inline void micro(const GemmTileBf16 &t, int64_t m0, int64_t n0, int64_t n_valid) {
    vf sum[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) sum[i][j] = vf{};
    const uint16_t *a = t.a + m0 * t.lda;
    const uint16_t *b = t.b + 2 * n0;
    for (int64_t k = 0; k < t.k; k += 2, a += 2, b += 2 * kPanel) {
        vi right[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) right[j] = load_pairs(b + 2 * j * kLanes);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) {
            int32_t pair;
            std::memcpy(&pair, a + i * t.lda, sizeof pair);
            const vi left = vi{} + pair;
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) sum[i][j] = dot_pairs(sum[i][j], left, right[j]);
        }
    }
    store_tile<MR, NV>(sum, t.c + m0 * t.ldc + n0, t.ldc, t.add, n_valid);
}

static void gemm_bf16(const GemmTileBf16 &t) {
    gemm_tiles(t);
}

// panel pair k/2, column j0 + j = rows[j][k], rows[j][k+1]; n_columns even
static void transpose_bf16(const uint16_t *rows, int64_t ld, int n_rows, int64_t n_columns, uint16_t *panel, int j0) {
    int64_t k = 0;
#if defined(__AVX512F__)
    if (n_rows == 16) {
        for (; k + 32 <= n_columns; k += 32) {
            __m512 r[16];
            for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_ps(rows + i * ld + k);
            transpose_16x16(r);
            for (int i = 0; i < 16; ++i) _mm512_storeu_ps(panel + ((k / 2 + i) * kPanel + j0) * 2, r[i]);
        }
    }
#endif
    for (; k < n_columns; k += 2)
        for (int j = 0; j < n_rows; ++j) std::memcpy(panel + (k / 2 * kPanel + j0 + j) * 2, rows + j * ld + k, 4);
}

#if defined(__AVX512F__)
// out[2j] = a[j], out[2j + 1] = b[j] for 32 values each
static inline void interleave_32(__m512i a, __m512i b, uint16_t *out) {
    alignas(64) static constexpr uint16_t low[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                     8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    const __m512i first = _mm512_load_si512(low), second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
    _mm512_storeu_si512(out, _mm512_permutex2var_epi16(a, first, b));
    _mm512_storeu_si512(out + 32, _mm512_permutex2var_epi16(a, second, b));
}
#endif

static void interleave_bf16(int64_t n, const uint16_t *a, const uint16_t *b, uint16_t *out) {
    int64_t j = 0;
#if defined(__AVX512F__)
    for (; j + 32 <= n; j += 32) interleave_32(_mm512_loadu_si512(a + j), _mm512_loadu_si512(b + j), out + 2 * j);
#endif
    for (; j < n; ++j) {
        out[2 * j] = a[j];
        out[2 * j + 1] = b[j];
    }
}

// out[j][i] = rows[i][j], a zero after an odd number of rows; pairs of rows become pairs of values, then 32-bit blocks
// are turned.
static void turn_bf16(const uint16_t *rows, int64_t ld, int64_t n_rows, int64_t n_columns, uint16_t *out,
                      int64_t ld_out) {
#if defined(__AVX512F__)
    const auto wide = [](const uint16_t *p, __mmask16 columns) {
        return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, p));
    };
    for (int64_t i0 = 0; i0 < n_rows; i0 += 32) {
        const int64_t count = n_rows - i0 < 32 ? n_rows - i0 : 32;
        const __mmask16 pairs = static_cast<__mmask16>((1u << ((count + 1) / 2)) - 1);
        for (int64_t j = 0; j < n_columns; j += 16) {
            const int64_t width = n_columns - j < 16 ? n_columns - j : 16;
            const __mmask16 columns = static_cast<__mmask16>((1u << width) - 1);
            const uint16_t *from = rows + i0 * ld + j;
            __m512 r[16];
            for (int i = 0; i < 16; ++i) {
                __m512i pair = _mm512_setzero_si512();
                if (2 * i < count) pair = wide(from + 2 * i * ld, columns);
                if (2 * i + 1 < count)
                    pair = _mm512_or_si512(pair, _mm512_slli_epi32(wide(from + (2 * i + 1) * ld, columns), 16));
                r[i] = (__m512)pair;
            }
            transpose_16x16(r);
            for (int i = 0; i < width; ++i) _mm512_mask_storeu_epi32(out + (j + i) * ld_out + i0, pairs, (__m512i)r[i]);
        }
    }
#else
    for (int64_t i = 0; i < n_rows; ++i)
        for (int64_t j = 0; j < n_columns; ++j) out[j * ld_out + i] = rows[i * ld + j];
    if (n_rows % 2 != 0)
        for (int64_t j = 0; j < n_columns; ++j) out[j * ld_out + n_rows] = 0;
#endif
}

}  // namespace
}  // namespace slm
