#include "cpu/x86/tiles.hpp"

#include <cpuid.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace slm {

namespace {

// Tile data is a part of the state that a process has to ask for (Documentation/arch/x86/xstate.rst of Linux).
bool ask_for_tile_data() {
#if defined(__linux__)
    constexpr long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}

CpuidLeaf cpuid(uint32_t leaf, uint32_t subleaf) {
    CpuidLeaf out;
    if (!__get_cpuid_count(leaf, subleaf, &out.a, &out.b, &out.c, &out.d)) return {};
    return out;
}

}  // namespace

bool holds_whole_tiles(const CpuidLeaf &palette, const CpuidLeaf &product) {
    const uint32_t tile_bytes = palette.a >> 16, row_bytes = palette.b & 0xFFFF, tiles = palette.b >> 16;
    const uint32_t rows = palette.c & 0xFFFF, deepest = product.b & 0xFF, widest = product.b >> 8 & 0xFFFF;
    return tile_bytes == 1024 && row_bytes == 64 && tiles >= 8 && rows == 16 && deepest >= 16 && widest >= 64;
}

bool tiles_granted() {
    return cpuid(0x1D, 0).a >= 1 && holds_whole_tiles(cpuid(0x1D, 1), cpuid(0x1E, 0)) && ask_for_tile_data();
}

}  // namespace slm
