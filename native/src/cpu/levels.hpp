// What differs between families of processors: the features they report and the tables they can fill. Each family has
// its own folder with a levels.cpp.
#pragma once

#include <span>

#include "cpu/kernels.hpp"

namespace slm {

struct Level {
    slm_isa isa;
    const char *name;
    const Kernels &(*kernels)();
    uint32_t features;           // all of these are needed
    bool (*proven)() = nullptr;  // asked before the level is first used, where it could not be tried elsewhere
};

std::span<const Level> cpu_levels();  // of this family, from the least, which every machine offers, to the best
uint32_t read_cpu_features();

// The level named `wanted`, or without a name the best one that the features allow and that is proven.
const Level &choose_level(std::span<const Level> levels, uint32_t features, const char *wanted);

}  // namespace slm
