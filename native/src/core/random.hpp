// Counter-based random numbers: a draw is a function of (key, counter) alone, so no draw depends on thread or order.
#pragma once

#include <cstdint>

namespace slm {

// Finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
inline uint64_t mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

inline uint64_t random_bits(uint64_t key, uint64_t counter) {
    return mix64(key + (counter + 1) * 0x9E3779B97F4A7C15ull);
}

// Uniform in [0, 1), 24 bits.
inline float random_unit(uint64_t key, uint64_t counter) {
    return static_cast<float>(random_bits(key, counter) >> 40) * 0x1p-24f;
}

inline uint64_t combine_keys(uint64_t a, uint64_t b) {
    return mix64(a ^ mix64(b + 0x9E3779B97F4A7C15ull));
}

// FNV-1a, for keys made from tensor names.
inline uint64_t hash_name(const char *name) {
    uint64_t hash = 0xCBF29CE484222325ull;
    for (; *name; ++name) hash = (hash ^ static_cast<unsigned char>(*name)) * 0x100000001B3ull;
    return hash;
}

}  // namespace slm
