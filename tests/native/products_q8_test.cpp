// Integer products: against f64 sums of the quantized activations and the weight's exact values, so that only f32 sums
// are left; and the quantization itself.
#include <gtest/gtest.h>

#include <array>

#include "backend_tools.hpp"
#include "reference.hpp"

namespace {

using namespace slm_test;
namespace ref = slm_test::reference;
using slm::Backend;

struct Quantized {
    Quantized(Backend &backend, const std::vector<float> &x, int64_t T, int64_t n)
        : n(n), bytes(size_t(T * slm::q8_row_bytes(n))) {
        backend.quantize(T, n, x.data(), values());
    }
    slm::Values values() { return {bytes.data(), slm::Format::Q8}; }
    std::vector<double> doubles() const {
        std::vector<double> out;
        for (size_t row = 0; row < bytes.size(); row += size_t(slm::q8_row_bytes(n))) {
            for (int64_t k = 0; k < n; ++k) {
                float factor;
                std::memcpy(&factor, bytes.data() + row + 2 * n + n / 4 + k / 32 * 4, 4);
                const int coarse = int8_t(bytes[row + size_t(k)]), fine = int8_t(bytes[row + size_t(n + k)]);
                out.push_back(double(factor) * (256 * coarse + fine));
            }
        }
        return out;
    }
    int64_t n;
    std::vector<uint8_t> bytes;
};

TEST(ProductsQ8, QuantizesToASmallStepOfTheLargest) {
    on_every_backend([](Backend &backend) {
        Random random(230);
        const int64_t T = 3, n = 96;
        std::vector<float> x = random.floats(T * n, 5);
        std::fill(x.begin() + 32, x.begin() + 64, 0.0f);
        Quantized q(backend, x, T, n);
        const std::vector<double> got = q.doubles();
        for (int64_t k = 0; k < T * n; k += 32) {
            double largest = 0;
            for (int64_t i = k; i < k + 32; ++i) largest = std::fmax(largest, std::fabs(double(x[size_t(i)])));
            for (int64_t i = k; i < k + 32; ++i)
                ASSERT_LE(std::fabs(got[size_t(i)] - double(x[size_t(i)])), largest / (127 * 256) * (1 + 1e-2)) << i;
        }
    });
}

TEST(ProductsQ8, WhatIsNotFiniteStaysSoAndTheSmallestAreZero) {
    on_every_backend([](Backend &backend) {
        Random random(232);
        const float inf = std::numeric_limits<float>::infinity();
        for (float odd : {NAN, -NAN, inf, -inf, 1e-45f, -1e-37f}) {
            std::vector<float> x = random.floats(64);
            std::fill(x.begin() + 32, x.end(), 0.0f);
            x[40] = odd;
            Quantized q(backend, x, 1, 64);
            const std::vector<double> got = q.doubles();
            for (int64_t i = 0; i < 64; ++i)
                ASSERT_EQ(std::isfinite(got[size_t(i)]), i < 32 || std::isfinite(odd)) << odd << " at " << i;
            if (std::isfinite(odd)) {
                ASSERT_EQ(got[40], 0) << odd;
            }
        }
    });
}

TEST(ProductsQ8, EveryTypeAndSize) {
    on_every_backend([](Backend &backend) {
        Random random(231);
        for (uint32_t type : {2u, 3u, 6u, 7u, 8u, 12u, 13u, 14u, 20u}) {
            for (const auto &[T, n_in, n_out] :
                 {std::array<int64_t, 3>{1, 256, 1}, {3, 512, 33}, {17, 256, 70}, {33, 3072, 65}, {7, 256, 257}}) {
                const std::string what = std::string(slm::find_quant_type(type)->name) + " T " + std::to_string(T) +
                                         ", " + std::to_string(n_in) + " -> " + std::to_string(n_out);
                const std::vector<uint8_t> bytes = random_blocks(type, n_out * n_in, random);
                const slm::Weight w{slm::find_quant_type(type), bytes.data(), n_out, n_in};
                ASSERT_TRUE(backend.multiplies_q8(w)) << what;
                Quantized x(backend, random.floats(T * n_in), T, n_in);
                const std::vector<double> x64 = x.doubles(), w64 = to_double(dequantized(type, bytes));
                std::vector<double> want(size_t(T * n_out)), size(want.size());
                ref::matmul(T, n_in, n_out, x64.data(), w64.data(), want.data());
                ref::matmul(T, n_in, n_out, absolute(x64).data(), absolute(w64).data(), size.data());
                Guarded y(T * n_out, NAN);
                slm::LinearOutput out;
                out.y = y.data();
                out.ldy = n_out;
                out.terms[0] = {x.values(), slm::q8_row_bytes(n_in), w};
                backend.linear(T, &out, 1);
                // A value is a code's line: factor times code and offset cancel, both as large as the offset.
                expect_sums(y, want, 8 * largest(size), what);
            }
        }
        const std::vector<float> plain(64);
        EXPECT_FALSE(backend.multiplies_q8({slm::find_quant_type(0), plain.data(), 2, 32}));
    });
}

TEST(ProductsQ8, RowsDoNotSeeEachOther) {
    for (const slm::Kernels *kernels : available_kernels()) {
        Random random(232);
        const int64_t T = 29, n_in = 288, n_out = 130;
        const std::vector<uint8_t> bytes = random_blocks(8, n_out * n_in, random);
        const slm::Weight w{slm::find_quant_type(8), bytes.data(), n_out, n_in};
        const std::vector<float> x = random.floats(T * n_in);
        std::vector<float> all(size_t(T * n_out));
        for (int n_threads : {1, 4}) {
            slm::ThreadPool pool(n_threads);
            slm::CpuBackend backend(pool, *kernels);
            for (int64_t count : {T, int64_t(1), int64_t(5)}) {
                for (int64_t t = 0; t + count <= T; t += count) {
                    const std::vector<float> part(x.begin() + t * n_in, x.begin() + (t + count) * n_in);
                    Quantized q(backend, part, count, n_in);
                    Guarded y(count * n_out, NAN);
                    slm::LinearOutput out;
                    out.y = y.data();
                    out.ldy = n_out;
                    out.terms[0] = {q.values(), slm::q8_row_bytes(n_in), w};
                    backend.linear(count, &out, 1);
                    if (count == T && n_threads == 1) all = y.values();
                    ASSERT_EQ(std::memcmp(y.data(), all.data() + t * n_out, size_t(count * n_out) * 4), 0)
                        << kernels->name << " row " << t << " of " << count;
                }
            }
        }
    }
}

}  // namespace
