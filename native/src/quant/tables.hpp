// Grids of the codebook types. An entry holds the levels of 8 (IQ1, IQ2) or 4 (IQ3) values.
#pragma once

#include <cstdint>

namespace slm {

extern const uint16_t iq1_grid[2048];
extern const uint16_t iq2_xxs_grid[256];
extern const uint16_t iq2_xs_grid[512];
extern const uint16_t iq2_s_grid[1024];
extern const uint16_t iq3_xxs_grid[256];
extern const uint16_t iq3_s_grid[512];

}  // namespace slm
