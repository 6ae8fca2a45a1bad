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

// sum += lo(a) lo(b) + hi(a) hi(b) in every lane
static inline vf dot_pairs(vf sum, vi a, vi b) {
#if defined(__AVX512BF16__)
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
    sum = fma(as_float(a << 16), as_float(b << 16), sum);
    return fma(as_float(a & ~0xFFFF), as_float(b & ~0xFFFF), sum);
#endif
}

static inline uint16_t round_bf16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);  // NaN stays NaN
    return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
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
static inline void gemm_bf16_micro(const GemmTileBf16 &t, int64_t m0, int64_t n0, int64_t n_valid) {
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

template <int MR, int NV>
static void gemm_bf16_rows(const GemmTileBf16 &t, int64_t n0, int64_t n_valid) {
    int64_t m = 0;
    for (; m + MR <= t.m; m += MR) gemm_bf16_micro<MR, NV>(t, m, n0, n_valid);
    if constexpr (MR > 2)
        for (; m + 2 <= t.m; m += 2) gemm_bf16_micro<2, NV>(t, m, n0, n_valid);
    for (; m < t.m; ++m) gemm_bf16_micro<1, NV>(t, m, n0, n_valid);
}

static void gemm_bf16(const GemmTileBf16 &t) {
#if defined(__AVX512F__)
    constexpr int64_t step = 4 * kLanes;
    for (int64_t n0 = 0; n0 < t.n; n0 += step) gemm_bf16_rows<6, 4>(t, n0, t.n - n0 < step ? t.n - n0 : step);
#else
    constexpr int64_t step = 2 * kLanes;
    for (int64_t n0 = 0; n0 < t.n; n0 += step) gemm_bf16_rows<4, 2>(t, n0, t.n - n0 < step ? t.n - n0 : step);
#endif
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

// out[2j] = a[j], out[2j + 1] = b[j]
static void interleave_bf16(int64_t n, const uint16_t *a, const uint16_t *b, uint16_t *out) {
    int64_t j = 0;
#if defined(__AVX512F__)
    alignas(64) static constexpr uint16_t low[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                     8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    const __m512i first = _mm512_load_si512(low), second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
    for (; j + 32 <= n; j += 32) {
        const __m512i x = _mm512_loadu_si512(a + j), y = _mm512_loadu_si512(b + j);
        _mm512_storeu_si512(out + 2 * j, _mm512_permutex2var_epi16(x, first, y));
        _mm512_storeu_si512(out + 2 * j + 32, _mm512_permutex2var_epi16(x, second, y));
    }
#endif
    for (; j < n; ++j) {
        out[2 * j] = a[j];
        out[2 * j + 1] = b[j];
    }
}

}  // namespace
}  // namespace slm
