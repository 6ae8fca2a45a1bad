// avx512_bf16's kernels with the bf16 product on AMX tiles. The only file with AMX instructions, and nothing in it but
// them: tile_kernel.hpp has the product.
#include "cpu/kernel_table.hpp"
#include "cpu/tile_kernel.hpp"
#include "cpu/tile_proof.hpp"

namespace slm {

namespace {

// The operand of LDTILECFG: palette 1, eight tiles of 16 rows x 64 bytes.
struct alignas(64) TileConfig {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);
constexpr TileConfig kWholeTiles;

// Loads of g++ 12 do not say that they read memory: without this, what was stored there could be stored too late.
inline void finish_stores() {
    __asm__ volatile("" ::: "memory");
}

// Tiles 0-3 are sums, 4 and 5 left, 6 and 7 right operands. Intrinsics take literal numbers only.
struct HardwareTiles {
    HardwareTiles() { _tile_loadconfig(&kWholeTiles); }
    ~HardwareTiles() { _tile_release(); }
    HardwareTiles(const HardwareTiles &) = delete;
    HardwareTiles &operator=(const HardwareTiles &) = delete;

    template <int I, int J>
    void clear() {
        if constexpr (I == 0 && J == 0) _tile_zero(0);
        if constexpr (I == 0 && J == 1) _tile_zero(1);
        if constexpr (I == 1 && J == 0) _tile_zero(2);
        if constexpr (I == 1 && J == 1) _tile_zero(3);
    }
    template <int I>
    void load_left(const uint16_t *from, int64_t stride) {
        finish_stores();
        if constexpr (I == 0) _tile_loadd(4, from, stride);
        if constexpr (I == 1) _tile_loadd(5, from, stride);
    }
    template <int J>
    void load_right(const uint16_t *from, int64_t stride) {
        finish_stores();
        if constexpr (J == 0) _tile_loadd(6, from, stride);
        if constexpr (J == 1) _tile_loadd(7, from, stride);
    }
    template <int I, int J>
    void multiply() {
        if constexpr (I == 0 && J == 0) _tile_dpbf16ps(0, 4, 6);
        if constexpr (I == 0 && J == 1) _tile_dpbf16ps(1, 4, 7);
        if constexpr (I == 1 && J == 0) _tile_dpbf16ps(2, 5, 6);
        if constexpr (I == 1 && J == 1) _tile_dpbf16ps(3, 5, 7);
    }
    template <int I, int J>
    void store(float *to, int64_t stride) {
        if constexpr (I == 0 && J == 0) _tile_stored(0, to, stride);
        if constexpr (I == 0 && J == 1) _tile_stored(1, to, stride);
        if constexpr (I == 1 && J == 0) _tile_stored(2, to, stride);
        if constexpr (I == 1 && J == 1) _tile_stored(3, to, stride);
    }
};

}  // namespace

const Kernels &kernels_amx_bf16() {
    static const Kernels table = [] {
        Kernels k = make_kernels("amx_bf16", SLM_ISA_AMX_BF16);
        k.gemm_bf16 = gemm_bf16_tiles<HardwareTiles>;
        k.own_threads = true;
        return k;
    }();
    return table;
}

bool amx_bf16_proven() {
    static const bool proven = multiplies_exactly(kernels_amx_bf16().gemm_bf16);
    return proven;
}

}  // namespace slm
