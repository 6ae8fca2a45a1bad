// Runs a test body on the CPU backend at every instruction set this machine offers and at one and several threads.
#pragma once

#include <cstdlib>

#include "cpu/cpu_backend.hpp"
#include "cpu/levels.hpp"
#include "emulated_tiles.hpp"
#include "random_blocks.hpp"

namespace slm_test {

/// Sets SLM_ISA for one test and restores it.
class IsaScope {
 public:
    explicit IsaScope(const char *value) {
        if (const char *set = std::getenv("SLM_ISA")) before_ = set, had_ = true;
        value ? setenv("SLM_ISA", value, 1) : unsetenv("SLM_ISA");
    }
    ~IsaScope() { had_ ? setenv("SLM_ISA", before_.c_str(), 1) : unsetenv("SLM_ISA"); }

 private:
    std::string before_;
    bool had_ = false;
};

inline std::vector<const slm::Kernels *> available_kernels() {
    std::vector<const slm::Kernels *> out;
    for (const slm::Level &level : slm::cpu_levels())
        if (slm::cpu_offers(level.isa)) out.push_back(&level.kernels());
    return out;
}

/// These, and the product on tiles with a model of AMX in place of the instructions; the rest of it is the best
/// level's.
inline std::vector<const slm::Kernels *> available_bf16_kernels() {
    static const slm::Kernels emulated = [] {
        slm::Kernels k = slm::select_kernels();
        k.name = "emulated tiles";
        k.fast_bf16 = true;
        k.gemm_bf16 = slm::gemm_bf16_tiles<EmulatedTiles>;
        return k;
    }();
    std::vector<const slm::Kernels *> out = available_kernels();
    out.push_back(&emulated);
    return out;
}

#if defined(SLM_EMULATED)
constexpr int backend_threads[] = {2};  // an emulator takes its time
#else
constexpr int backend_threads[] = {1, 3};
#endif

template <class Body>
void on_backends(const std::vector<const slm::Kernels *> &tables, const Body &body) {
    for (const slm::Kernels *kernels : tables) {
        for (int n_threads : backend_threads) {
            SCOPED_TRACE(std::string(kernels->name) + ", " + std::to_string(n_threads) + " threads");
            slm::ThreadPool pool(n_threads);
            slm::CpuBackend backend(pool, *kernels);
            body(backend);
            if (testing::Test::HasFatalFailure()) return;
        }
    }
}

template <class Body>
void on_every_backend(const Body &body) {
    on_backends(available_kernels(), body);
}

/// For what multiplies bf16 values.
template <class Body>
void on_every_bf16_backend(const Body &body) {
    on_backends(available_bf16_kernels(), body);
}

/// f64 gradient `dx` of `loss` checked at the ends of x and two places between: the reference's own proof at this size.
template <class Loss>
void expect_central_differences(const Loss &loss, std::vector<double> &x, const std::vector<double> &dx, Random &random,
                                const std::string &what) {
    double size = 0;
    for (double v : dx) size = std::fmax(size, std::fabs(v));
    const int64_t n = int64_t(x.size());
    for (int64_t i : {int64_t(0), n - 1, random.below(n), random.below(n)}) {
        const double kept = x[size_t(i)], h = 1e-5;
        x[size_t(i)] = kept + h;
        const double above = loss();
        x[size_t(i)] = kept - h;
        const double below = loss();
        x[size_t(i)] = kept;
        const double want = (above - below) / (2 * h);
        // 1e-6 of the largest: h^2 truncation and rounding of a loss that sums up to 10^5 terms.
        EXPECT_FALSE(!(std::fabs(dx[size_t(i)] - want) <= 1e-6 * size + 1e-9)) << what << "[" << i << "]";
    }
}

/// Rounded to nearest even at 8 bits of mantissa, rows apart by an even stride with a zero after odd rows.
struct Rounded {
    Rounded(const float *x, int64_t rows, int64_t n) : n(n), ld(n + n % 2), values(size_t(rows * ld)) {
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t i = 0; i < n; ++i) values[size_t(r * ld + i)] = round(x[r * n + i]);
    }
    /// Room for rows, filled with NaN.
    Rounded(int64_t rows, int64_t n) : n(n), ld(n + n % 2), values(size_t(rows * ld), 0x7fff) {}
    static uint16_t round(float x) {
        uint32_t bits;
        std::memcpy(&bits, &x, sizeof bits);
        return uint16_t((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
    }
    static double value(uint16_t half) {
        const uint32_t bits = uint32_t(half) << 16;
        float x;
        std::memcpy(&x, &bits, sizeof x);
        return double(x);
    }
    std::vector<double> doubles() const {
        std::vector<double> out;
        for (size_t r = 0; r < values.size() / size_t(ld); ++r)
            for (int64_t i = 0; i < n; ++i) out.push_back(value(values[r * size_t(ld) + size_t(i)]));
        return out;
    }
    int64_t n, ld;
    std::vector<uint16_t> values;
};

/// Sums that were rounded to 8 bits at the end.
inline void expect_rounded_sums(const std::vector<double> &got, const std::vector<double> &want, double magnitude,
                                const std::string &what) {
    ASSERT_EQ(got.size(), want.size()) << what;
    for (size_t i = 0; i < want.size(); ++i)
        ASSERT_FALSE(!(std::fabs(got[i] - want[i]) <= 1e-6 * magnitude + std::fabs(want[i]) / 256)) << what << " " << i;
}

inline double dot(const std::vector<double> &a, const std::vector<double> &b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

inline std::vector<double> absolute(std::vector<double> v) {
    for (double &x : v) x = std::fabs(x);
    return v;
}

inline double largest(const std::vector<double> &v) {
    double top = 0;
    for (double x : v) top = std::fmax(top, std::fabs(x));
    return top;
}

/// For sums that may cancel: the error is measured against the same sum over absolute values. 1e-6 is 16 roundings.
inline void expect_sums(const Guarded &got, const std::vector<double> &want, double magnitude,
                        const std::string &what) {
    ASSERT_EQ(size_t(got.size()), want.size()) << what;
    EXPECT_TRUE(got.intact()) << what << " wrote outside its buffer";
    double worst = 0;
    for (size_t i = 0; i < want.size(); ++i) {
        const double error = std::fabs(double(got[int64_t(i)]) - want[i]);
        if (!(error <= worst)) worst = error;
    }
    EXPECT_FALSE(!(worst <= 1e-6 * magnitude)) << what << ": error " << worst << ", sums of magnitude " << magnitude;
}

}  // namespace slm_test
