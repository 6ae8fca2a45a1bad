// linear, linear_backward, matmul and embedding of the CPU backend against f64.
#include <gtest/gtest.h>

#include "backend_tools.hpp"
#include "reference.hpp"

namespace {

using namespace slm_test;
namespace ref = slm_test::reference;
using slm::Backend;
using slm::Weight;

constexpr uint32_t block_types[] = {2,  3,  6,  7,  8,  10, 11, 12, 13, 14, 16, 17,
                                    18, 19, 20, 21, 22, 23, 29, 34, 35, 39, 40};
constexpr uint32_t float_types[] = {0, 1, 30};

/// A weight in its file's bytes and in f64.
struct TestWeight {
    TestWeight(uint32_t type_id, int64_t rows, int64_t columns, Random &random)
        : bytes(random_blocks(type_id, rows * columns, random)), values(to_double(dequantized(type_id, bytes))) {
        view.type = slm::find_quant_type(type_id);
        view.data = bytes.data();
        view.rows = rows;
        view.columns = columns;
    }
    std::vector<uint8_t> bytes;
    std::vector<double> values;
    Weight view;
};

void expect_linear(Backend &backend, uint32_t type, int64_t T, int64_t n_in, int64_t n_out, Random &random) {
    const std::string what = std::string(slm::find_quant_type(type)->name) + " T " + std::to_string(T) + ", " +
                             std::to_string(n_in) + " -> " + std::to_string(n_out);
    TestWeight w(type, n_out, n_in, random);
    ASSERT_TRUE(backend.supports(w.view)) << what;
    const Guarded x(random.floats(T * n_in)), bias(random.floats(n_out)), dy(random.floats(T * n_out));
    std::vector<double> x64 = to_double(x.values()), want(size_t(T * n_out)), size(want.size());
    ref::matmul(T, n_in, n_out, x64.data(), w.values.data(), want.data());
    ref::matmul(T, n_in, n_out, absolute(x64).data(), absolute(w.values).data(), size.data());
    const double magnitude = largest(size);

    Guarded y(T * n_out, NAN);
    slm::LinearOutput out;
    out.y = y.data();
    out.ldy = n_out;
    out.terms[0] = {x.data(), n_in, w.view};
    backend.linear(T, &out, 1);
    expect_sums(y, want, magnitude, what);

    Guarded sum(std::vector<float>(size_t(T * n_out), 2.0f));
    out.y = sum.data();
    out.bias = bias.data();
    out.add = true;
    backend.linear(T, &out, 1);
    std::vector<double> want_sum = want;
    for (size_t i = 0; i < want.size(); ++i) want_sum[i] += 2.0 + double(bias[int64_t(i) % n_out]);
    expect_sums(sum, want_sum, magnitude + 3, what + " with bias, added");

    const std::vector<double> dy64 = to_double(dy.values());
    std::vector<double> dx64(size_t(T * n_in)), dx_size(dx64.size());
    ref::matmul_dx(T, n_in, n_out, dy64.data(), w.values.data(), dx64.data());
    ref::matmul_dx(T, n_in, n_out, absolute(dy64).data(), absolute(w.values).data(), dx_size.data());
    Guarded dx(T * n_in, NAN);
    const slm::LinearGradTerm term{dy.data(), n_out, w.view};
    backend.linear_backward(T, &term, 1, dx.data(), n_in, false);
    expect_sums(dx, dx64, largest(dx_size), what + " dx");
    if (T == n_in && n_in == n_out) {
        const auto loss = [&] {
            std::vector<double> again(want.size());
            ref::matmul(T, n_in, n_out, x64.data(), w.values.data(), again.data());
            return dot(again, dy64);
        };
        if (T <= 33) expect_central_differences(loss, x64, dx64, random, what + " dx");
    }
}

TEST(Products, LinearF32AtEverySize) {
    on_every_backend([](Backend &backend) {
        Random random(200);
        for (int64_t T : op_sizes) {
            for (int64_t n_in : op_sizes) {
                for (int64_t n_out : op_sizes) expect_linear(backend, 0, T, n_in, n_out, random);
            }
        }
    });
}

TEST(Products, LinearAtEveryType) {
    on_every_backend([](Backend &backend) {
        Random random(201);
        for (uint32_t type : float_types) {
            for (int64_t T : op_sizes) expect_linear(backend, type, T, 33, 17, random);
            expect_linear(backend, type, 3, 257, 257, random);
        }
        for (uint32_t type : block_types) {
            for (int64_t T : {1, 3, 17, 33, 257}) expect_linear(backend, type, T, 256, 17, random);
            for (int64_t n_out : op_sizes) expect_linear(backend, type, 5, 256, n_out, random);
            expect_linear(backend, type, 3, 1280, 70, random);  // deeper than one packed panel, and not its multiple
            if (slm::find_quant_type(type)->block_values == 32) {
                for (int64_t n_in : {32, 96, 160}) expect_linear(backend, type, 7, n_in, 65, random);
            }
        }
    });
}

/// What the fused calls are for: q, k, v in one go, each with its LoRA term, rows wider than the matrix.
TEST(Products, SeveralOutputsAndTermsWithStrides) {
    on_every_backend([](Backend &backend) {
        Random random(202);
        const int64_t T = 50, n_in = 64, r = 3, lds = 80;
        for (uint32_t type : {0u, 8u}) {
            TestWeight w1(type, 96, n_in, random), w2(type, 33, n_in, random), b1(0, 96, r, random);
            const Guarded x(random.floats(T * lds)), ax(random.floats(T * r));
            Guarded y1(T * 100, 0.5f), y2(T * 33, NAN);
            slm::LinearOutput outs[2];
            outs[0].y = y1.data();
            outs[0].ldy = 100;
            outs[0].terms[0] = {x.data(), lds, w1.view};
            outs[0].terms[1] = {ax.data(), r, b1.view};
            outs[0].n_terms = 2;
            outs[1].y = y2.data();
            outs[1].ldy = 33;
            outs[1].terms[0] = {x.data(), lds, w2.view};
            backend.linear(T, outs, 2);
            std::vector<double> x64, want1, want2(size_t(T * 33)), base(size_t(T * 96)), low(base.size());
            for (int64_t t = 0; t < T; ++t) {
                for (int64_t i = 0; i < n_in; ++i) x64.push_back(double(x[t * lds + i]));
            }
            ref::matmul(T, n_in, 96, x64.data(), w1.values.data(), base.data());
            ref::matmul(T, r, 96, to_double(ax.values()).data(), b1.values.data(), low.data());
            ref::matmul(T, n_in, 33, x64.data(), w2.values.data(), want2.data());
            for (int64_t t = 0; t < T; ++t) {
                for (int64_t o = 0; o < 100; ++o) {
                    want1.push_back(o < 96 ? base[size_t(t * 96 + o)] + low[size_t(t * 96 + o)] : 0.5);
                }
            }
            expect_close(y1, want1, 3e-6, "two terms");
            expect_close(y2, want2, 3e-6, "second output");

            // dx over both outputs and onto what is there.
            const Guarded dy1(random.floats(T * 100)), dy2(random.floats(T * 33));
            Guarded dx(T * lds, 0.25f);
            const slm::LinearGradTerm terms[] = {{dy1.data(), 100, w1.view}, {dy2.data(), 33, w2.view}};
            backend.linear_backward(T, terms, 2, dx.data(), lds, true);
            std::vector<double> d1, part1(size_t(T * n_in)), part2(part1.size()), want;
            for (int64_t t = 0; t < T; ++t) {
                for (int64_t o = 0; o < 96; ++o) d1.push_back(double(dy1[t * 100 + o]));
            }
            ref::matmul_dx(T, n_in, 96, d1.data(), w1.values.data(), part1.data());
            ref::matmul_dx(T, n_in, 33, to_double(dy2.values()).data(), w2.values.data(), part2.data());
            for (int64_t t = 0; t < T; ++t) {
                for (int64_t i = 0; i < lds; ++i) {
                    const size_t at = size_t(t * n_in + i);
                    want.push_back(0.25 + (i < n_in ? part1[at] + part2[at] : 0.0));
                }
            }
            expect_close(dx, want, 3e-6, "dx of two terms");
        }
    });
}

/// Bits of a row depend on neither the rows around it nor the threads: what packing relies on.
TEST(Products, RowsDoNotSeeEachOther) {
    for (const slm::Kernels *kernels : available_kernels()) {
        Random random(203);
        const int64_t T = 61, n_in = 288, n_out = 130;
        for (uint32_t type : {0u, 2u, 30u}) {
            TestWeight w(type, n_out, n_in, random);
            const Guarded x(random.floats(T * n_in)), dy(random.floats(T * n_out));
            Guarded all(T * n_out), all_dx(T * n_in);
            for (int n_threads : {1, 4}) {
                slm::ThreadPool pool(n_threads);
                slm::CpuBackend backend(pool, *kernels);
                slm::LinearOutput out;
                for (int64_t count : {T, int64_t(1), int64_t(5), int64_t(48)}) {
                    for (int64_t t = 0; t + count <= T; t += count) {
                        Guarded y(count * n_out, NAN), dx(count * n_in, NAN);
                        out.y = y.data();
                        out.ldy = n_out;
                        out.terms[0] = {x.data() + t * n_in, n_in, w.view};
                        backend.linear(count, &out, 1);
                        const slm::LinearGradTerm term{dy.data() + t * n_out, n_out, w.view};
                        backend.linear_backward(count, &term, 1, dx.data(), n_in, false);
                        if (count == T && n_threads == 1) {
                            std::memcpy(all.data(), y.data(), size_t(T * n_out) * 4);
                            std::memcpy(all_dx.data(), dx.data(), size_t(T * n_in) * 4);
                        }
                        ASSERT_EQ(std::memcmp(y.data(), all.data() + t * n_out, size_t(count * n_out) * 4), 0)
                            << kernels->name << " row " << t << " of " << count << " alone";
                        ASSERT_EQ(std::memcmp(dx.data(), all_dx.data() + t * n_in, size_t(count * n_in) * 4), 0)
                            << kernels->name << " dx row " << t << " of " << count << " alone";
                    }
                }
            }
        }
    }
}

TEST(Products, MatmulInEveryOrientation) {
    on_every_backend([](Backend &backend) {
        Random random(204);
        for (int64_t m : op_sizes) {
            for (int64_t n : op_sizes) {
                for (int64_t k : {int64_t(1), int64_t(17), int64_t(33), int64_t(1100)}) {
                    if (m * n * k > 4000000) continue;
                    const Guarded a(random.floats(m * k)), b(random.floats(k * n));
                    for (int flip = 0; flip < 4; ++flip) {
                        // flip 1: a holds its transpose; flip 2: b does.
                        std::vector<double> rows_a, rows_bt;
                        for (int64_t i = 0; i < m; ++i) {
                            for (int64_t j = 0; j < k; ++j)
                                rows_a.push_back(double(a[flip & 1 ? j * m + i : i * k + j]));
                        }
                        for (int64_t j = 0; j < n; ++j) {
                            for (int64_t i = 0; i < k; ++i)
                                rows_bt.push_back(double(b[flip & 2 ? j * k + i : i * n + j]));
                        }
                        std::vector<double> want(size_t(m * n)), size(want.size());
                        ref::matmul(m, k, n, rows_a.data(), rows_bt.data(), want.data());
                        ref::matmul(m, k, n, absolute(rows_a).data(), absolute(rows_bt).data(), size.data());
                        for (double &v : want) v += 1;
                        Guarded c(m * n, 1);
                        const slm::MatrixView left{a.data(), flip & 1 ? 1 : k, flip & 1 ? m : 1};
                        const slm::MatrixView right{b.data(), flip & 2 ? 1 : n, flip & 2 ? k : 1};
                        backend.matmul(m, n, k, left, right, c.data(), n, true);
                        const std::string what = std::to_string(m) + " x " + std::to_string(n) + " over " +
                                                 std::to_string(k) + ", flip " + std::to_string(flip);
                        expect_sums(c, want, largest(size) + 1, what);
                        Guarded fresh(m * n, NAN);
                        backend.matmul(m, n, k, left, right, fresh.data(), n, false);
                        for (double &v : want) v -= 1;
                        expect_sums(fresh, want, largest(size), what + ", set");
                    }
                }
            }
        }
    });
}

TEST(Products, EmbeddingAndItsGradient) {
    on_every_backend([](Backend &backend) {
        Random random(205);
        for (uint32_t type : {0u,  1u,  2u,  3u,  6u,  7u,  8u,  10u, 11u, 12u, 13u, 14u, 16u,
                              17u, 18u, 19u, 20u, 21u, 22u, 23u, 29u, 30u, 34u, 35u, 39u, 40u}) {
            const int64_t V = 11, n = 256, T = 7;
            TestWeight w(type, V, n, random);
            const int32_t ids[] = {3, 0, 10, 3, 3, 1, 10};
            for (float scale : {1.0f, 2.5f}) {
                std::vector<double> want(size_t(T * n));
                ref::embedding(T, n, double(scale), ids, w.values.data(), want.data());
                Guarded out(T * n, NAN);
                backend.embedding(T, ids, w.view, scale, out.data());
                expect_close(out, want, scale == 1.0f ? 0 : 1e-7, w.view.type->name);
            }
        }
        for (int64_t n : op_sizes) {
            const int64_t V = 5, T = 6;
            const int32_t ids[] = {4, 0, 4, 2, 4, 0};
            const Guarded dout(random.floats(T * n)), start(random.floats(V * n));
            Guarded dw(start.values());
            std::vector<double> want = to_double(start.values());
            ref::embedding_backward(T, n, 1.5, ids, to_double(dout.values()).data(), want.data());
            backend.embedding_backward(T, ids, n, 1.5f, dout.data(), dw.data());
            expect_close(dw, want, 1e-6, "embedding gradient " + std::to_string(n));
        }
    });
}

}  // namespace
