// Shared by the native tests: seeded numbers, buffers with guard words, comparators that NaN cannot pass.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace slm_test {

/// The sizes every op is tried at: one, less than a vector, just past 16 and 32, just past 256.
inline const int64_t op_sizes[] = {1, 3, 17, 33, 257};

/// splitmix64: the same numbers on every machine.
class Random {
 public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t bits() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }
    /// Uniform in [-1, 1).
    double value() { return double(bits() >> 11) * 0x1p-52 - 1.0; }
    int64_t below(int64_t n) { return int64_t(bits() % uint64_t(n)); }
    std::vector<float> floats(int64_t n, double scale = 1) {
        std::vector<float> v(static_cast<size_t>(n));
        for (float &x : v) x = float(value() * scale);
        return v;
    }

 private:
    uint64_t state_;
};

inline std::vector<double> to_double(const std::vector<float> &v) {
    return {v.begin(), v.end()};
}

/// A float buffer at a cache line's start (as the library's own buffers), guard words on both sides.
class Guarded {
 public:
    explicit Guarded(int64_t n, float fill = 0) : n_(size_t(n)), raw_(size_t(n) + 48, guard()) {
        const size_t misfit = reinterpret_cast<uintptr_t>(raw_.data()) % 64 / sizeof(float);
        start_ = 16 + (16 - misfit) % 16;
        for (size_t i = 0; i < n_; ++i) raw_[start_ + i] = fill;
    }
    Guarded(const std::vector<float> &v) : Guarded(int64_t(v.size())) {
        if (!v.empty()) std::memcpy(data(), v.data(), v.size() * sizeof(float));
    }
    Guarded(const Guarded &) = delete;
    Guarded &operator=(const Guarded &) = delete;

    float *data() { return raw_.data() + start_; }
    const float *data() const { return raw_.data() + start_; }
    int64_t size() const { return int64_t(n_); }
    float operator[](int64_t i) const { return raw_[start_ + size_t(i)]; }
    std::vector<float> values() const { return {raw_.begin() + int64_t(start_), raw_.begin() + int64_t(start_ + n_)}; }
    bool intact() const {
        for (size_t i = 0; i < raw_.size(); ++i) {
            const bool inside = i >= start_ && i < start_ + n_;
            const float want = guard();
            if (!inside && std::memcmp(&raw_[i], &want, sizeof want) != 0) return false;
        }
        return true;
    }

 private:
    static float guard() { return -7.777e33f; }
    size_t n_;
    size_t start_;
    std::vector<float> raw_;
};

/// Largest |got - want| over largest |want|; infinite where a number is not finite.
template <class Got>
double relative_error(const Got &got, const std::vector<double> &want) {
    double worst = 0, size = 0;
    for (size_t i = 0; i < want.size(); ++i) {
        const double error = std::fabs(double(got[decltype(got.size())(i)]) - want[i]);
        if (!(error <= worst)) worst = std::isfinite(error) ? error : INFINITY;
        size = std::fmax(size, std::fabs(want[i]));
    }
    return size > 0 ? worst / size : worst;
}

/// Fails unless the error is a number within the tolerance and the guards stand.
inline void expect_close(const Guarded &got, const std::vector<double> &want, double tolerance,
                         const std::string &what) {
    ASSERT_EQ(size_t(got.size()), want.size()) << what;
    EXPECT_TRUE(got.intact()) << what << " wrote outside its buffer";
    const double error = relative_error(got, want);
    EXPECT_FALSE(!(error <= tolerance)) << what << ": relative error " << error << ", tolerance " << tolerance;
}

inline bool bit_equal(const std::vector<float> &a, const std::vector<float> &b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

}  // namespace slm_test
