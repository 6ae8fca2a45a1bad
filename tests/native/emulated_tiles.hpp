// The unit of cpu/tile_kernel.hpp on the model of the instructions, for every machine.
#pragma once

#include <gtest/gtest.h>

#include "cpu/tile_kernel.hpp"
#include "tile_model.hpp"

namespace slm_test {

struct EmulatedTiles {
    EmulatedTiles() {
        uint8_t config[64] = {1};
        for (int t = 0; t < 8; ++t) {
            config[16 + 2 * t] = 64;
            config[48 + t] = 16;
        }
        done(model.load_config(config));
    }
    template <int I, int J>
    void clear() {
        done(model.clear(2 * I + J));
    }
    template <int I>
    void load_left(const uint16_t *from, int64_t stride) {
        done(model.load(4 + I, from, stride));
    }
    template <int J>
    void load_right(const uint16_t *from, int64_t stride) {
        done(model.load(6 + J, from, stride));
    }
    template <int I, int J>
    void multiply() {
        done(model.multiply(2 * I + J, 4 + I, 6 + J));
    }
    template <int I, int J>
    void store(float *to, int64_t stride) {
        done(model.store(2 * I + J, to, stride));
    }

    static void done(bool valid) {
        if (!valid) ADD_FAILURE() << "a tile instruction that the processor refuses";
    }
    TileModel model;
};

}  // namespace slm_test
