// The register tile of every product: MR rows of A broadcast against NV vectors of B.
#pragma once

#include "cpu/kernels.hpp"
#include "cpu/simd.hpp"

namespace slm {
namespace {

template <int MR, int NV>
static inline void store_tile(const vf (&sum)[MR][NV], float *c, int64_t ldc, bool add, int64_t n_valid) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i, c += ldc) {
        if (n_valid == NV * kLanes) {
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) store(c + j * kLanes, add ? load(c + j * kLanes) + sum[i][j] : sum[i][j]);
        } else {
            float edge[NV * kLanes];
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) store(edge + j * kLanes, sum[i][j]);
            for (int64_t n = 0; n < n_valid; ++n) c[n] = add ? c[n] + edge[n] : edge[n];
        }
    }
}

template <int MR, int NV>
static inline void micro(const GemmTile &t, int64_t m0, int64_t n0, int64_t n_valid) {
    vf sum[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) sum[i][j] = vf{};
    const float *a = t.a + m0 * t.rsa;
    const float *b = t.b + n0;
    const int64_t rsa = t.rsa, csa = t.csa, ldb = t.ldb;
    for (int64_t k = 0; k < t.k; ++k, a += csa, b += ldb) {
        vf right[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) right[j] = load(b + j * kLanes);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) {
            const vf left = set1(a[i * rsa]);
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) sum[i][j] = fma(left, right[j], sum[i][j]);
        }
    }
    store_tile<MR, NV>(sum, t.c + m0 * t.ldc + n0, t.ldc, t.add, n_valid);
}

// Of pairs, in bf16_kernel.hpp.
template <int MR, int NV>
static inline void micro(const GemmTileBf16 &t, int64_t m0, int64_t n0, int64_t n_valid);

// Rows of a tile of two vectors on 16 registers: pairs need some to be widened in.
template <typename Tile>
inline constexpr int kTileRows = 6;
template <>
inline constexpr int kTileRows<GemmTileBf16> = 4;

// Rows that are left over run through smaller tiles; the sum of an element is the same in all of them.
template <int MR, int NV, typename Tile>
static void gemm_rows(const Tile &t, int64_t n0, int64_t n_valid) {
    int64_t m = 0;
    for (; m + MR <= t.m; m += MR) micro<MR, NV>(t, m, n0, n_valid);
    if constexpr (MR > 4)
        for (; m + 4 <= t.m; m += 4) micro<4, NV>(t, m, n0, n_valid);
    if constexpr (MR > 2)
        for (; m + 2 <= t.m; m += 2) micro<2, NV>(t, m, n0, n_valid);
    for (; m < t.m; ++m) micro<1, NV>(t, m, n0, n_valid);
}

// Columns in the widest tiles that registers hold.
template <typename Tile>
static inline void gemm_tiles(const Tile &t) {
    constexpr int64_t w = kLanes;
    for (int64_t n0 = 0; n0 < t.n;) {
        const int64_t left = t.n - n0;
        const auto valid = [left](int64_t width) { return left < width ? left : width; };
#if SLM_VECTOR_REGISTERS == 32
        if (left > 3 * w) {
            gemm_rows<6, 4>(t, n0, valid(4 * w));
            n0 += 4 * w;
        } else if (left > 2 * w) {
            gemm_rows<8, 3>(t, n0, valid(3 * w));
            n0 += 3 * w;
        } else if (left > w) {
            gemm_rows<12, 2>(t, n0, valid(2 * w));
            n0 += 2 * w;
        } else {
            gemm_rows<14, 1>(t, n0, valid(w));
            n0 += w;
        }
#else
        if (left > w) {
            gemm_rows<kTileRows<Tile>, 2>(t, n0, valid(2 * w));
            n0 += 2 * w;
        } else {
            gemm_rows<8, 1>(t, n0, valid(w));
            n0 += w;
        }
#endif
    }
}

static void gemm(const GemmTile &t) {
    gemm_tiles(t);
}

#if defined(__AVX512F__)
// Rows become columns of a 16 x 16 block of 32-bit values.
static inline void transpose_16x16(__m512 (&r)[16]) {
    __m512 s[16];
    for (int i = 0; i < 8; ++i) {
        s[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        s[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; ++i) {
        r[4 * i + 0] = _mm512_shuffle_ps(s[4 * i], s[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm512_shuffle_ps(s[4 * i], s[4 * i + 2], 0xEE);
        r[4 * i + 2] = _mm512_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm512_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0xEE);
    }
    // r[4g + c] holds, for 128-bit lane l, column 4l + c of rows 4g .. 4g+3.
    for (int c = 0; c < 4; ++c) {
        const __m512 low01 = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x44);
        const __m512 high01 = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xEE);
        const __m512 low23 = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x44);
        const __m512 high23 = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xEE);
        s[c] = _mm512_shuffle_f32x4(low01, low23, 0x88);
        s[4 + c] = _mm512_shuffle_f32x4(low01, low23, 0xDD);
        s[8 + c] = _mm512_shuffle_f32x4(high01, high23, 0x88);
        s[12 + c] = _mm512_shuffle_f32x4(high01, high23, 0xDD);
    }
    for (int i = 0; i < 16; ++i) r[i] = s[i];
}
#endif

static void transpose(const float *rows, int64_t ld, int n_rows, int64_t n_columns, float *panel, int j0) {
    int64_t k = 0;
#if defined(__AVX512F__)
    if (n_rows == 16) {
        for (; k + 16 <= n_columns; k += 16) {
            __m512 r[16];
            for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_ps(rows + i * ld + k);
            transpose_16x16(r);
            for (int i = 0; i < 16; ++i) _mm512_storeu_ps(panel + (k + i) * kPanel + j0, r[i]);
        }
    }
#endif
    for (; k < n_columns; ++k)
        for (int j = 0; j < n_rows; ++j) panel[k * kPanel + j0 + j] = rows[j * ld + k];
}

}  // namespace
}  // namespace slm
