// Whether a process may use AMX tiles, and whether they are the ones that the kernels are written for.
#pragma once

#include <cstdint>

namespace slm {

struct CpuidLeaf {
    uint32_t a = 0, b = 0, c = 0, d = 0;
};

// Of leaves 0x1D (subleaf 1: palette 1) and 0x1E (subleaf 0): at least eight tiles of 16 rows x 64 bytes, all of which
// one product takes.
bool holds_whole_tiles(const CpuidLeaf &palette, const CpuidLeaf &product);

// The processor has such tiles and Linux lets this process use them. Linux is asked once; it refuses where an alternate
// signal stack is too small for the tiles' 8 KiB.
bool tiles_granted();

}  // namespace slm
