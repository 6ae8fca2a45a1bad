// AMX tiles in plain C++, as Intel's manual states the instructions: palette 1, any shape that fits, TDPBF16PS with
// f32 sums, denormal numbers as zero on both sides, and no look at the rounding mode.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace slm_test {

class TileModel {
 public:
    /// Every instruction returns whether the processor would carry it out; where it would not, nothing changes.
    bool load_config(const void *from) {
        uint8_t config[64];
        std::memcpy(config, from, sizeof config);
        if (config[0] == 0) return release();
        for (int i = 1; i < 64; ++i)
            if ((i < 16 || (i >= 32 && i < 48) || i >= 56) && config[i] != 0) return false;
        Tile shaped[8];
        for (int t = 0; t < 8; ++t) {
            uint16_t row_bytes;
            std::memcpy(&row_bytes, config + 16 + 2 * t, sizeof row_bytes);
            if (row_bytes > 64 || config[48 + t] > 16 || (row_bytes == 0) != (config[48 + t] == 0)) return false;
            shaped[t].row_bytes = row_bytes;
            shaped[t].rows = config[48 + t];
        }
        configured_ = config[0] == 1;
        for (int t = 0; configured_ && t < 8; ++t) tiles_[t] = shaped[t];
        return configured_;
    }
    bool release() {
        configured_ = false;
        for (Tile &tile : tiles_) tile = {};
        return true;
    }
    bool clear(int t) {
        if (!usable(t)) return false;
        std::memset(tiles_[t].bytes, 0, sizeof tiles_[t].bytes);
        return true;
    }
    bool load(int t, const void *from, int64_t stride) {
        if (!clear(t)) return false;
        for (int r = 0; r < tiles_[t].rows; ++r)
            std::memcpy(tiles_[t].bytes[r], static_cast<const uint8_t *>(from) + r * stride,
                        size_t(tiles_[t].row_bytes));
        return true;
    }
    bool store(int t, void *to, int64_t stride) const {
        if (!usable(t)) return false;
        for (int r = 0; r < tiles_[t].rows; ++r)
            std::memcpy(static_cast<uint8_t *>(to) + r * stride, tiles_[t].bytes[r], size_t(tiles_[t].row_bytes));
        return true;
    }
    /// sum += left right: even and odd values along k are summed apart, then together, then added to the sum.
    bool multiply(int sum, int left, int right) {
        if (!usable(sum) || !usable(left) || !usable(right) || sum == left || sum == right || left == right)
            return false;
        Tile &c = tiles_[sum];
        const Tile &a = tiles_[left], &b = tiles_[right];
        if (c.rows != a.rows || c.row_bytes != b.row_bytes || a.row_bytes != 4 * b.rows || c.row_bytes % 4 != 0)
            return false;
        float wide_a[16][32], wide_b[16][32];
        widen(a, wide_a);
        widen(b, wide_b);
        for (int m = 0; m < c.rows; ++m) {
            float parts[32] = {};
            for (int k = 0; k < b.rows; ++k)
                for (int n = 0; n < c.row_bytes / 2; ++n)
                    parts[n] = fused(wide_a[m][2 * k + n % 2], wide_b[k][n], parts[n]);
            for (int n = 0; n < c.row_bytes / 4; ++n) {
                float at;
                std::memcpy(&at, c.bytes[m] + 4 * n, sizeof at);
                at = flushed(flushed(at) + flushed(parts[2 * n] + parts[2 * n + 1]));
                std::memcpy(c.bytes[m] + 4 * n, &at, sizeof at);
            }
        }
        return true;
    }

 private:
    struct Tile {
        int rows = 0, row_bytes = 0;
        uint8_t bytes[16][64] = {};
    };

    bool usable(int t) const { return configured_ && tiles_[t].rows > 0; }
    static float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
    /// A product of two such values has 16 bits: where it is a normal number or nothing it is exact, and adding it
    /// rounds once.
    static float fused(float a, float b, float c) {
        const float product = a * b, size = std::fabs(product);
        const bool exact = size < INFINITY && (size >= 0x1p-126f || a == 0 || b == 0);
        return flushed(exact ? product + c : std::fma(a, b, c));
    }
    static void widen(const Tile &tile, float (&out)[16][32]) {
        for (int row = 0; row < tile.rows; ++row)
            for (int i = 0; i < tile.row_bytes / 2; ++i) {
                uint16_t half;
                std::memcpy(&half, tile.bytes[row] + 2 * i, sizeof half);
                const uint32_t bits = uint32_t(half) << 16;
                float x;
                std::memcpy(&x, &bits, sizeof x);
                out[row][i] = flushed(x);
            }
    }

    Tile tiles_[8];
    bool configured_ = false;
};

}  // namespace slm_test
