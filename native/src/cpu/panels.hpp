// Small arithmetic shared by the files that pack panels.
#pragma once

#include "ops/backend.hpp"

namespace slm {

inline int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

inline int64_t even(int64_t n) {
    return n + n % 2;
}

inline int64_t row_bytes(const Weight &w) {
    return w.columns / w.type->block_values * w.type->block_bytes;
}

inline const char *row_pointer(const Weight &w, const QuantType &type, int64_t row, int64_t column) {
    const int64_t row_bytes = w.columns / type.block_values * type.block_bytes;
    return static_cast<const char *>(w.data) + row * row_bytes + column / type.block_values * type.block_bytes;
}

}  // namespace slm
