// The bf16 product on a unit of tiles: 16 rows of 64 bytes each, two by two of sums. The unit is the processor's own
// (x86/kernels_amx_bf16.cpp) or, in tests, a plain model of its instructions; all blocking and all edges are here.
// A unit is made where a product begins and gone where it ends, so no thread keeps tiles between products:
//   clear<i, j>()                   sum[i][j] = 0
//   load_left<i>(from, stride)      left[i][row][k] of 16 rows, 32 values along k; strides are in bytes
//   load_right<j>(from, stride)     right[j][k / 2][column][k % 2], as a panel has them
//   multiply<i, j>()                sum[i][j] += left[i] right[j]
//   store<i, j>(to, stride)
#pragma once

#include <cstring>

#include "cpu/kernels.hpp"

namespace slm {
namespace {

inline constexpr int64_t kUnitRows = 16, kUnitDepth = 32;  // of a tile; it is 16 columns wide
inline constexpr int64_t kUnitValues = kUnitRows * kUnitDepth;

// A whole tile of which rows x columns values are there; zeros in the others add nothing to any sum.
static inline void stage_tile(const uint16_t *from, int64_t ld, int64_t rows, int64_t columns, uint16_t *tile) {
    std::memset(tile, 0, kUnitValues * sizeof(uint16_t));
    for (int64_t r = 0; r < rows; ++r)
        std::memcpy(tile + r * kUnitDepth, from + r * ld, static_cast<size_t>(columns) * sizeof(uint16_t));
}

// The last, incomplete tiles along k of up to 32 columns of the panel, staged once for all rows.
struct RightEdge {
    alignas(64) uint16_t tiles[2][kUnitValues];

    RightEdge(const GemmTileBf16 &t, int64_t n0) {
        const int64_t whole = t.k / kUnitDepth * kUnitDepth;
        if (whole == t.k) return;
        for (int64_t j = 0; j < 2 && n0 + 16 * j < t.n; ++j)
            stage_tile(t.b + whole * kPanel + 2 * (n0 + 16 * j), 2 * kPanel, (t.k - whole) / 2, kUnitDepth, tiles[j]);
    }
};

template <int I, class Unit>
static inline void load_left_tile(Unit &unit, const GemmTileBf16 &t, int64_t m0, int64_t k) {
    const int64_t m = m0 + I * kUnitRows, rows = t.m - m, depth = t.k - k;
    const uint16_t *from = t.a + m * t.lda + k;
    if (rows >= kUnitRows && depth >= kUnitDepth) {
        unit.template load_left<I>(from, t.lda * 2);
        return;
    }
    alignas(64) uint16_t tile[kUnitValues];
    stage_tile(from, t.lda, rows < kUnitRows ? rows : kUnitRows, depth < kUnitDepth ? depth : kUnitDepth, tile);
    unit.template load_left<I>(tile, kUnitDepth * 2);
}

template <int J, class Unit>
static inline void load_right_tile(Unit &unit, const GemmTileBf16 &t, const RightEdge &edge, int64_t n0, int64_t k) {
    if (t.k - k >= kUnitDepth)
        unit.template load_right<J>(t.b + k * kPanel + 2 * (n0 + 16 * J), kPanel * 4);
    else
        unit.template load_right<J>(edge.tiles[J], kUnitDepth * 2);
}

template <int I, int J, class Unit>
static inline void store_sums(Unit &unit, const GemmTileBf16 &t, int64_t m0, int64_t n0) {
    const int64_t m = m0 + I * kUnitRows, n = n0 + J * 16;
    const int64_t rows = t.m - m < kUnitRows ? t.m - m : kUnitRows, columns = t.n - n < 16 ? t.n - n : 16;
    float *c = t.c + m * t.ldc + n;
    if (rows == kUnitRows && columns == 16 && !t.add) {
        unit.template store<I, J>(c, t.ldc * 4);
        return;
    }
    alignas(64) float sums[kUnitRows * 16];
    unit.template store<I, J>(sums, 64);
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t x = 0; x < columns; ++x)
            c[r * t.ldc + x] = t.add ? c[r * t.ldc + x] + sums[r * 16 + x] : sums[r * 16 + x];
}

// MT x NT tiles of sums over all of k.
template <int MT, int NT, class Unit>
static void tile_block(Unit &unit, const GemmTileBf16 &t, const RightEdge &edge, int64_t m0, int64_t n0) {
    unit.template clear<0, 0>();
    if constexpr (NT == 2) unit.template clear<0, 1>();
    if constexpr (MT == 2) unit.template clear<1, 0>();
    if constexpr (MT == 2 && NT == 2) unit.template clear<1, 1>();
    for (int64_t k = 0; k < t.k; k += kUnitDepth) {
        load_right_tile<0>(unit, t, edge, n0, k);
        if constexpr (NT == 2) load_right_tile<1>(unit, t, edge, n0, k);
        load_left_tile<0>(unit, t, m0, k);
        unit.template multiply<0, 0>();
        if constexpr (NT == 2) unit.template multiply<0, 1>();
        if constexpr (MT == 2) {
            load_left_tile<1>(unit, t, m0, k);
            unit.template multiply<1, 0>();
            if constexpr (NT == 2) unit.template multiply<1, 1>();
        }
    }
    store_sums<0, 0>(unit, t, m0, n0);
    if constexpr (NT == 2) store_sums<0, 1>(unit, t, m0, n0);
    if constexpr (MT == 2) store_sums<1, 0>(unit, t, m0, n0);
    if constexpr (MT == 2 && NT == 2) store_sums<1, 1>(unit, t, m0, n0);
}

// Every element sums k in steps of 32 from its first into one accumulator: its bits depend on neither m nor the tile.
template <class Unit>
static void gemm_bf16_tiles(const GemmTileBf16 &tile) {
    GemmTileBf16 t = tile;
    t.k += t.k % 2;
    Unit unit;
    for (int64_t n0 = 0; n0 < t.n; n0 += 32) {
        const RightEdge edge(t, n0);
        const bool wide = t.n - n0 > 16;
        for (int64_t m0 = 0; m0 < t.m; m0 += 2 * kUnitRows) {
            const bool tall = t.m - m0 > kUnitRows;
            if (tall && wide)
                tile_block<2, 2>(unit, t, edge, m0, n0);
            else if (tall)
                tile_block<2, 1>(unit, t, edge, m0, n0);
            else if (wide)
                tile_block<1, 2>(unit, t, edge, m0, n0);
            else
                tile_block<1, 1>(unit, t, edge, m0, n0);
        }
    }
}

}  // namespace
}  // namespace slm
