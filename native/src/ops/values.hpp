// Activations as operations see them: a pointer and how the values lie there.
#pragma once

#include <cstdint>

namespace slm {

// A product computes in the format of its left operand: f32, or bf16 with f32 sums. bf16 rows of odd length are
// followed by a finite value, which is multiplied by zero; products that write rows with room behind them put a zero
// there.
// Q8 rows are integers in two bytes, 256 coarse + fine, with a factor for each 32 of them: left operands of forward
// products alone.
enum class Format : uint8_t { F32, BF16, Q8 };

inline int64_t bytes_of(Format format) {
    return format == Format::F32 ? 4 : format == Format::BF16 ? 2 : 1;
}

// A Q8 row of n values, n a multiple of 32: coarse bytes, fine bytes, f32 [n/16] sums of factor times integer, f32
// [n/32] factors.
inline int64_t q8_row_bytes(int64_t n) {
    return 2 * n + n / 16 * 4 + n / 32 * 4;
}

struct Values {
    void *data = nullptr;
    Format format = Format::F32;

    Values() = default;
    Values(void *data, Format format) : data(data), format(format) {}
    Values(float *x) : data(x) {}
    Values(uint16_t *x) : data(x), format(Format::BF16) {}
    float *f32() const { return static_cast<float *>(data); }
    uint16_t *bf16() const { return static_cast<uint16_t *>(data); }
    Values at(int64_t i) const { return {static_cast<char *>(data) + i * bytes_of(format), format}; }
    bool rounded() const { return format == Format::BF16; }
};

struct ConstValues {
    const void *data = nullptr;
    Format format = Format::F32;

    ConstValues() = default;
    ConstValues(const void *data, Format format) : data(data), format(format) {}
    ConstValues(const float *x) : data(x) {}
    ConstValues(const uint16_t *x) : data(x), format(Format::BF16) {}
    ConstValues(const Values &v) : data(v.data), format(v.format) {}
    const float *f32() const { return static_cast<const float *>(data); }
    const uint16_t *bf16() const { return static_cast<const uint16_t *>(data); }
    ConstValues at(int64_t i) const { return {static_cast<const char *>(data) + i * bytes_of(format), format}; }
    bool rounded() const { return format == Format::BF16; }
};

}  // namespace slm
