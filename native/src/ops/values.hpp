// Activations as operations see them: a pointer and how the values lie there.
#pragma once

#include <cstdint>

namespace slm {

// A product computes in the format of its left operand: f32, or bf16 with f32 sums. bf16 rows of odd length are
// followed by a finite value, which is multiplied by zero; products that write rows with room behind them put a zero
// there.
enum class Format : uint8_t { F32, BF16 };

inline int64_t bytes_of(Format format) {
    return format == Format::F32 ? 4 : 2;
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
