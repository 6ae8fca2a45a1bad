// Products in bf16: against f64 sums of the rounded operands, so that only the order of f32 sums is left.
#include <gtest/gtest.h>

#include "backend_tools.hpp"
#include "reference.hpp"

namespace {

using namespace slm_test;
namespace ref = slm_test::reference;
using slm::Backend;

void expect_bf16(Backend &backend, uint32_t type, int64_t T, int64_t n_in, int64_t n_out, Random &random) {
    const std::string what = std::string(slm::find_quant_type(type)->name) + " T " + std::to_string(T) + ", " +
                             std::to_string(n_in) + " -> " + std::to_string(n_out);
    const std::vector<uint8_t> bytes = random_blocks(type, n_out * n_in, random);
    const std::vector<float> weights = dequantized(type, bytes);
    const slm::Weight view{slm::find_quant_type(type), bytes.data(), n_out, n_in};
    const std::vector<double> w = Rounded(weights.data(), n_out, n_in).doubles();
    const Rounded x(random.floats(T * n_in).data(), T, n_in), dy(random.floats(T * n_out).data(), T, n_out);
    const std::vector<double> x64 = x.doubles(), dy64 = dy.doubles();

    std::vector<double> want(size_t(T * n_out)), size(want.size());
    ref::matmul(T, n_in, n_out, x64.data(), w.data(), want.data());
    ref::matmul(T, n_in, n_out, absolute(x64).data(), absolute(w).data(), size.data());
    Guarded y(T * n_out, NAN);
    slm::LinearOutput out;
    out.y = y.data();
    out.ldy = n_out;
    out.terms[0] = {x.values.data(), x.ld, view};
    backend.linear(T, &out, 1);
    expect_sums(y, want, largest(size), what);
    Rounded short_y(T, n_out);
    out.y = short_y.values.data();
    out.ldy = short_y.ld;
    backend.linear(T, &out, 1);
    expect_rounded_sums(short_y.doubles(), want, largest(size), what + ", rounded");
    EXPECT_TRUE(n_out % 2 == 0 || short_y.values.back() == 0) << what;

    std::vector<double> dx64(size_t(T * n_in)), dx_size(dx64.size());
    ref::matmul_dx(T, n_in, n_out, dy64.data(), w.data(), dx64.data());
    ref::matmul_dx(T, n_in, n_out, absolute(dy64).data(), absolute(w).data(), dx_size.data());
    Guarded dx(T * n_in, NAN);
    const slm::LinearGradTerm term{dy.values.data(), dy.ld, view};
    backend.linear_backward(T, &term, 1, dx.data(), n_in, false);
    expect_sums(dx, dx64, largest(dx_size), what + " dx");
    Rounded short_dx(T, n_in);
    backend.linear_backward(T, &term, 1, short_dx.values.data(), short_dx.ld, false);
    expect_rounded_sums(short_dx.doubles(), dx64, largest(dx_size), what + " dx, rounded");
    EXPECT_TRUE(n_in % 2 == 0 || short_dx.values.back() == 0) << what;
}

TEST(ProductsBf16, EverySizeAndType) {
    on_every_bf16_backend([](Backend &backend) {
        Random random(210);
        for (int64_t T : op_sizes) {
            for (int64_t n_in : op_sizes) {
                for (int64_t n_out : {1, 17, 257}) expect_bf16(backend, 0, T, n_in, n_out, random);
            }
        }
        for (uint32_t type : {1u, 30u}) expect_bf16(backend, type, 17, 33, 65, random);
        for (uint32_t type : {2u, 3u, 6u, 7u, 8u, 12u, 13u, 14u, 20u, 21u}) {
            expect_bf16(backend, type, 33, 256, 70, random);
            expect_bf16(backend, type, 3, 2304, 17, random);  // deeper than one packed panel, and not its multiple
            expect_bf16(backend, type, 5, 256, 2111, random);
            if (type == 3 || type == 21) expect_bf16(backend, type, 530, 256, 70, random);  // more rows than one tile
        }
    });
}

/// Bits of a row depend on neither the rows around it nor the threads: what packing relies on.
TEST(ProductsBf16, RowsDoNotSeeEachOther) {
    const int64_t T = 61, n_in = 160, n_out = 130;
    Random random(213);
    const std::vector<uint8_t> bytes = random_blocks(3, n_out * n_in, random);
    const slm::Weight w{slm::find_quant_type(3), bytes.data(), n_out, n_in};
    const Rounded x(random.floats(T * n_in).data(), T, n_in), dy(random.floats(T * n_out).data(), T, n_out);
    for (const slm::Kernels *kernels : available_bf16_kernels()) {
        std::vector<float> all, all_dx;
        for (int n_threads : backend_threads) {
            slm::ThreadPool pool(n_threads);
            slm::CpuBackend backend(pool, *kernels);
            for (int64_t count : {T, int64_t(1), int64_t(5), int64_t(48)}) {
                for (int64_t t = 0; t + count <= T; t += count) {
                    Guarded y(count * n_out, NAN), dx(count * n_in, NAN);
                    slm::LinearOutput out;
                    out.y = y.data();
                    out.ldy = n_out;
                    out.terms[0] = {x.values.data() + t * x.ld, x.ld, w};
                    backend.linear(count, &out, 1);
                    const slm::LinearGradTerm term{dy.values.data() + t * dy.ld, dy.ld, w};
                    backend.linear_backward(count, &term, 1, dx.data(), n_in, false);
                    if (all.empty()) {
                        all = y.values();
                        all_dx = dx.values();
                    }
                    ASSERT_EQ(std::memcmp(y.data(), all.data() + t * n_out, size_t(count * n_out) * 4), 0)
                        << kernels->name << " row " << t << " of " << count << ", threads " << n_threads;
                    ASSERT_EQ(std::memcmp(dx.data(), all_dx.data() + t * n_in, size_t(count * n_in) * 4), 0)
                        << kernels->name << " dx row " << t << " of " << count << ", threads " << n_threads;
                }
            }
        }
    }
}

/// Terms of different formats add up: rounded activations on a weight, f32 ones on an adapter.
TEST(ProductsBf16, TermsKeepTheirFormats) {
    on_every_bf16_backend([](Backend &backend) {
        Random random(211);
        // More rows than a thread takes at once: panels of both formats lie beside each other for the next ones.
        const int64_t T = 300, n_in = 32, n_out = 40, r = 3;
        const std::vector<uint8_t> bytes(size_t(n_out * n_in / 32 * 34), 0);
        const Rounded x(random.floats(T * n_in).data(), T, n_in);
        const Guarded u(random.floats(T * r)), b(random.floats(n_out * r));
        std::vector<double> want(size_t(T * n_out));
        ref::matmul(T, r, n_out, to_double(u.values()).data(), to_double(b.values()).data(), want.data());
        for (const int adapter : {1, 0}) {
            Guarded y(T * n_out, NAN);
            slm::LinearOutput out;
            out.y = y.data();
            out.ldy = n_out;
            out.terms[1 - adapter] = {x.values.data(), x.ld, {slm::find_quant_type(8), bytes.data(), n_out, n_in}};
            out.terms[adapter] = {u.data(), r, {slm::find_quant_type(0), b.data(), n_out, r}};
            out.n_terms = 2;
            backend.linear(T, &out, 1);
            expect_close(y, want, 1e-6, "adapter term");
        }
    });
}

/// Sums of outer products over the tokens of packed sequences, added to what is there, both ways round.
template <class Make>
void expect_outer(Backend &backend, int64_t m, int64_t n, const std::vector<int64_t> &lengths, Random &random,
                  const Make &make) {
    std::vector<int64_t> offsets = {0};
    for (int64_t length : lengths) offsets.push_back(offsets.back() + length);
    const int64_t T = offsets.back();
    const auto a = make(random.floats(T * m), T, m), b = make(random.floats(T * n), T, n);
    std::vector<double> want(size_t(m * n)), turned(want.size()), size(want.size());
    const std::vector<double> a64 = a.doubles(), b64 = b.doubles();
    for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
            double sum = 0.5, all = 0.5;
            for (int64_t t = 0; t < T; ++t) {
                const double product = a64[size_t(t * m + i)] * b64[size_t(t * n + j)];
                sum += product;
                all += std::fabs(product);
            }
            want[size_t(i * n + j)] = turned[size_t(j * m + i)] = sum;
            size[size_t(i * n + j)] = all;
        }
    }
    Guarded c(m * n, 0.5f), t(m * n, 0.5f);
    const slm::OuterJob jobs[2] = {{a.values.data(), a.ld, m, b.values.data(), b.ld, n, c.data(), n, false},
                                   {a.values.data(), a.ld, m, b.values.data(), b.ld, n, t.data(), m, true}};
    backend.outer({int64_t(lengths.size()), offsets.data()}, jobs, 2);
    const std::string what = "outer " + std::to_string(m) + " x " + std::to_string(n) + " over " + std::to_string(T);
    expect_sums(c, want, largest(size), what);
    expect_sums(t, turned, largest(size), what + ", transposed");
}

struct Plain {
    Plain(const float *x, int64_t rows, int64_t n) : n(n), ld(n), values(x, x + rows * n) {}
    std::vector<double> doubles() const { return to_double(values); }
    int64_t n, ld;
    std::vector<float> values;
};

TEST(ProductsBf16, OuterProductsOfBothFormats) {
    on_every_bf16_backend([](Backend &backend) {
        Random random(212);
        for (int64_t m : {1, 16, 33, 300}) {
            for (int64_t n : {1, 16, 70, 129}) {
                for (const std::vector<int64_t> &lengths : {std::vector<int64_t>{1}, {33, 4, 1}, {1100}}) {
                    if (m * n * lengths[0] > 3000000) continue;
                    expect_outer(backend, m, n, lengths, random, [](const std::vector<float> &x, int64_t T, int64_t n) {
                        return Rounded(x.data(), T, n);
                    });
                    expect_outer(backend, m, n, lengths, random, [](const std::vector<float> &x, int64_t T, int64_t n) {
                        return Plain(x.data(), T, n);
                    });
                }
            }
        }
    });
}

}  // namespace
