// Row-wise and element-wise ops of the CPU backend against f64, backward against differences of the f64 forward.
#include <gtest/gtest.h>

#include "backend_tools.hpp"
#include "reference.hpp"

namespace {

using namespace slm_test;
namespace ref = slm_test::reference;
using slm::Backend;

/// f32 with exp and tanh within 2 units in the last place.
constexpr double row_tolerance = 2e-6;

TEST(RowOps, RmsNorm) {
    on_every_backend([](Backend &backend) {
        Random random(300);
        for (int64_t n : op_sizes) {
            for (int64_t T : {1, 5}) {
                const int64_t groups = 2, rows = T * groups;
                const double eps = double(1e-5f);
                const std::string what = "n " + std::to_string(n);
                const Guarded x(random.floats(rows * n, 3)), g(random.floats(n)), dy(random.floats(rows * n));
                std::vector<double> x64 = to_double(x.values()), g64 = to_double(g.values());
                const std::vector<double> dy64 = to_double(dy.values());
                std::vector<double> want(x64.size()), want_dx(x64.size()), want_dg(size_t(n), 0.5);
                ref::rmsnorm(rows, n, eps, x64.data(), g64.data(), want.data());
                ref::rmsnorm_backward(rows, n, eps, x64.data(), g64.data(), dy64.data(), want_dx.data(),
                                      want_dg.data());

                Guarded y(rows * n, NAN), rstd(rows, NAN);
                backend.rms_norm(T, groups, n, 1e-5f, x.data(), g.data(), y.data(), rstd.data());
                expect_close(y, want, row_tolerance, what);
                EXPECT_TRUE(rstd.intact());
                Guarded in_place(x.values()), rstd2(rows);
                backend.rms_norm(T, groups, n, 1e-5f, in_place.data(), g.data(), in_place.data(), rstd2.data());
                EXPECT_TRUE(bit_equal(in_place.values(), y.values())) << what << " in place";

                Guarded dx(rows * n, 0.25f), dg(n, 0.5f);
                backend.rms_norm_backward(T, groups, n, rstd.data(), x.data(), g.data(), dy.data(), dx.data());
                backend.rms_norm_weight_backward(T, groups, n, rstd.data(), x.data(), dy.data(), dg.data());
                const auto loss = [&] {
                    std::vector<double> again(want.size());
                    ref::rmsnorm(rows, n, eps, x64.data(), g64.data(), again.data());
                    return dot(again, dy64);
                };
                if (n > 1) expect_central_differences(loss, x64, want_dx, random, what + " dx");
                for (double &v : want_dx) v += 0.25;
                expect_close(dx, want_dx, row_tolerance, what + " dx");
                expect_close(dg, want_dg, row_tolerance, what + " dg");
            }
        }
    });
}

TEST(RowOps, RmsNormOfZerosAndLargeRows) {
    on_every_backend([](Backend &backend) {
        const Guarded zeros(17, 0), g(17, 1), large(17, 1e18f);
        Guarded y(17, NAN), rstd(1);
        backend.rms_norm(1, 1, 17, 1e-6f, zeros.data(), g.data(), y.data(), rstd.data());
        for (float v : y.values()) EXPECT_EQ(v, 0.0f);
        backend.rms_norm(1, 1, 17, 1e-6f, large.data(), g.data(), y.data(), rstd.data());
        for (float v : y.values()) EXPECT_NEAR(v, 1, 1e-6);
    });
}

TEST(RowOps, Rope) {
    on_every_backend([](Backend &backend) {
        Random random(301);
        const int64_t T = 5, n_head = 3;
        const int32_t positions[] = {0, 1, 2, 7, 40};
        for (bool neox : {false, true}) {
            for (const auto &[d, n_rot] :
                 std::vector<std::pair<int64_t, int64_t>>{{2, 2}, {16, 16}, {34, 34}, {34, 20}, {128, 96}}) {
                const int64_t half = n_rot / 2;
                std::vector<double> factors(static_cast<size_t>(half));
                for (double &f : factors) f = 1 + std::fabs(random.value());
                std::vector<float> c, s;
                for (int position = 0; position <= 40; ++position) {
                    for (int64_t i = 0; i < half; ++i) {
                        const double angle =
                            position * std::pow(500.0, -2.0 * double(i) / double(n_rot)) * 0.5 / factors[size_t(i)];
                        c.push_back(float(std::cos(angle)));
                        s.push_back(float(std::sin(angle)));
                    }
                }
                slm::RopeTable table;
                table.cos = c.data();
                table.sin = s.data();
                table.n_rot = n_rot;
                table.type = neox ? SLM_ROPE_TYPE_NEOX : SLM_ROPE_TYPE_PAIRS;
                const Guarded start(random.floats(T * n_head * d));
                Guarded x(start.values());
                std::vector<double> want = to_double(start.values());
                ref::rope(T, n_head, d, n_rot, neox, positions, 500.0, 0.5, factors.data(), 1, want.data());
                backend.rope(T, n_head, d, positions, table, 1.0f, x.data(), x.data());
                expect_close(x, want, row_tolerance, "rope " + std::to_string(d));
                Guarded dx(start.values());
                std::vector<double> back = to_double(start.values());
                ref::rope(T, n_head, d, n_rot, neox, positions, 500.0, 0.5, factors.data(), -1, back.data());
                backend.rope(T, n_head, d, positions, table, -1.0f, dx.data(), dx.data());
                expect_close(dx, back, row_tolerance, "rope backward " + std::to_string(d));
            }
        }
    });
}

TEST(RowOps, Glu) {
    on_every_backend([](Backend &backend) {
        Random random(302);
        for (bool gelu : {false, true}) {
            const slm_activation activation = gelu ? SLM_ACTIVATION_GELU_TANH : SLM_ACTIVATION_SILU;
            for (int64_t n : {int64_t(1), int64_t(3), int64_t(17), int64_t(33), int64_t(257), int64_t(40000)}) {
                const std::string what = std::string(gelu ? "gelu " : "silu ") + std::to_string(n);
                const Guarded gate(random.floats(n, 6)), up(random.floats(n)), dy(random.floats(n));
                std::vector<double> g = to_double(gate.values()), u = to_double(up.values());
                const std::vector<double> d = to_double(dy.values());
                std::vector<double> want(g.size()), dg(g.size()), du(g.size());
                ref::gated(n, gelu, g.data(), u.data(), want.data());
                ref::gated_backward(n, gelu, g.data(), u.data(), d.data(), dg.data(), du.data());
                Guarded y(n, NAN);
                backend.glu(activation, n, gate.data(), up.data(), y.data());
                expect_close(y, want, row_tolerance, what);
                Guarded dgate(gate.values()), dup(up.values());
                backend.glu_backward(activation, n, dy.data(), dgate.data(), dup.data());
                expect_close(dgate, dg, row_tolerance, what + " dgate");
                expect_close(dup, du, row_tolerance, what + " dup");
                const auto loss = [&] {
                    std::vector<double> again(want.size());
                    ref::gated(n, gelu, g.data(), u.data(), again.data());
                    return dot(again, d);
                };
                if (n > 1000) continue;
                expect_central_differences(loss, g, dg, random, what + " dgate");
                expect_central_differences(loss, u, du, random, what + " dup");
            }
            // Far tails stay finite and right.
            const Guarded gate(std::vector<float>{-200, -90, -40, 0, 40, 90, 200}), up(7, 1);
            Guarded y(7, NAN), dgate(gate.values()), dup(7, 1);
            const Guarded dy(7, 1);
            backend.glu(activation, 7, gate.data(), up.data(), y.data());
            backend.glu_backward(activation, 7, dy.data(), dgate.data(), dup.data());
            const double want[] = {0, 0, 0, 0, 40, 90, 200}, slope[] = {0, 0, 0, 0.5, 1, 1, 1};
            for (int i = 0; i < 7; ++i) {
                EXPECT_NEAR(y[i], want[i], 1e-5) << "gate " << gate[i];
                EXPECT_NEAR(dgate[i], slope[i], 1e-5) << "gate " << gate[i];
            }
        }
    });
}

TEST(RowOps, CrossEntropy) {
    on_every_backend([](Backend &backend) {
        Random random(303);
        for (int64_t V : {int64_t(2), int64_t(3), int64_t(17), int64_t(33), int64_t(257), int64_t(5000)}) {
            for (float cap : {0.0f, 4.0f}) {
                const int64_t R = 4;
                const std::string what = "V " + std::to_string(V) + ", cap " + std::to_string(cap);
                const Guarded start(random.floats(R * V, 9));
                std::vector<int32_t> targets;
                for (int64_t r = 0; r < R; ++r) targets.push_back(int32_t(random.below(V)));
                std::vector<double> x = to_double(start.values()), y(x), dx(x.size()), dy(x.size());
                const auto rows_loss = [&](int64_t first, int64_t count) {
                    std::vector<double> capped(x);
                    if (cap > 0) ref::softcap(R * V, double(cap), x.data(), capped.data());
                    return ref::cross_entropy(count, V, capped.data() + first * V, targets.data() + first);
                };
                if (cap > 0) ref::softcap(R * V, double(cap), x.data(), y.data());
                ref::cross_entropy_backward(R, V, y.data(), targets.data(), dy.data());
                dx = dy;
                if (cap > 0) ref::softcap_backward(R * V, double(cap), y.data(), dy.data(), dx.data());

                Guarded logits(start.values());
                std::vector<double> loss(size_t(R) + 1, -1);
                backend.cross_entropy(R, V, cap, logits.data(), targets.data(), true, loss.data());
                for (int64_t r = 0; r < R; ++r) {
                    EXPECT_NEAR(loss[size_t(r)], rows_loss(r, 1), 5e-6 * (1 + rows_loss(r, 1))) << what;
                }
                EXPECT_EQ(loss[size_t(R)], -1) << what << " wrote beyond the losses";
                expect_close(logits, dx, row_tolerance, what + " gradient");
                if (V <= 257) expect_central_differences([&] { return rows_loss(0, R); }, x, dx, random, what);

                Guarded again(start.values());
                std::vector<double> only(static_cast<size_t>(R));
                backend.cross_entropy(R, V, cap, again.data(), targets.data(), false, only.data());
                for (int64_t r = 0; r < R; ++r) EXPECT_EQ(only[size_t(r)], loss[size_t(r)]) << what;
            }
        }
    });
}

TEST(RowOps, LogSumExp) {
    on_every_backend([](Backend &backend) {
        Random random(309);
        for (int64_t V : {1, 3, 17, 33, 257, 1024, 2049, 5000}) {
            for (float cap : {0.0f, 4.0f}) {
                const int64_t R = 5;
                const std::vector<float> start = random.floats(R * V, 9);
                Guarded logits(start);
                std::vector<float> capped = start;
                if (cap > 0)
                    for (float &x : capped) x = cap * std::tanh(x / cap);
                double lse[R];
                int32_t top[R];
                backend.log_sum_exp(R, V, cap, logits.data(), lse, top);
                EXPECT_TRUE(logits.intact());
                for (int64_t r = 0; r < R; ++r) {
                    const std::vector<double> row(capped.begin() + r * V, capped.begin() + (r + 1) * V);
                    double sum = 0;
                    for (double x : row) sum += std::exp(x);
                    EXPECT_NEAR(lse[r], std::log(sum), 3e-6) << V;
                    // The first of equals, among the logits as they were left.
                    const float *left = logits.data() + r * V;
                    EXPECT_EQ(top[r], std::max_element(left, left + V) - left) << V;
                }
            }
        }
        for (int64_t at : {0, 1, 1023, 1024, 2000}) {
            Guarded ties(2001, -1.0f);
            ties.data()[at] = ties.data()[2000] = 3.0f;
            double lse;
            int32_t top;
            backend.log_sum_exp(1, 2001, 0, ties.data(), &lse, &top);
            EXPECT_EQ(top, at);
            ties.data()[at] = NAN;
            backend.log_sum_exp(1, 2001, 0, ties.data(), &lse, &top);
            EXPECT_TRUE(std::isnan(lse)) << at;
            EXPECT_TRUE(top >= 0 && top < 2001);
        }
    });
}

TEST(RowOps, CrossEntropyKeepsPrecisionOnWideRows) {
    // torch's f32 loss loses 1e-5 a token at this width; the loss here is a double from double sums.
    on_every_backend([](Backend &backend) {
        Random random(304);
        const int64_t V = 49152;
        const Guarded start(random.floats(V, 2));
        Guarded logits(start.values());
        const int32_t target = 77;
        double loss = 0;
        backend.cross_entropy(1, V, 0, logits.data(), &target, false, &loss);
        EXPECT_NEAR(loss, ref::cross_entropy(1, V, to_double(start.values()).data(), &target), 3e-6);
    });
}

TEST(RowOps, CrossEntropyShowsNonfiniteLogits) {
    on_every_backend([](Backend &backend) {
        for (float bad : {float(NAN), float(INFINITY)}) {
            for (int64_t at : {0, 5, 19, 32}) {
                Guarded logits(33, 0.5f);
                logits.data()[at] = bad;
                const int32_t target = 1;
                double loss = 0;
                backend.cross_entropy(1, 33, 0, logits.data(), &target, false, &loss);
                EXPECT_FALSE(std::isfinite(loss)) << bad << " at " << at << " went unnoticed: " << loss;
            }
        }
    });
}

TEST(RowOps, SoftcapAddScaleClearCopy) {
    on_every_backend([](Backend &backend) {
        Random random(305);
        for (int64_t n : {int64_t(1), int64_t(3), int64_t(17), int64_t(33), int64_t(257), int64_t(40000)}) {
            const Guarded x(random.floats(n, 20)), start(random.floats(n));
            const std::vector<double> x64 = to_double(x.values());
            std::vector<double> want(x64.size());
            Guarded capped(x.values());
            ref::softcap(n, 5.0, x64.data(), want.data());
            backend.softcap(n, 5, capped.data());
            expect_close(capped, want, row_tolerance, "softcap");
            Guarded sum(start.values());
            backend.add(n, x.data(), sum.data());
            for (int64_t i = 0; i < n; ++i) ASSERT_EQ(sum[i], start[i] + x[i]);
            Guarded scaled(x.values());
            backend.scale(n, 1.7f, scaled.data());
            for (int64_t i = 0; i < n; ++i) ASSERT_EQ(scaled[i], x[i] * 1.7f);
            Guarded cleared(n, NAN);
            backend.clear(n, cleared.data());
            for (float v : cleared.values()) ASSERT_TRUE(v == 0 && !std::signbit(v));
            Guarded copied(n, NAN);
            backend.copy(n, x.data(), copied.data());
            EXPECT_TRUE(bit_equal(copied.values(), x.values()));
            EXPECT_TRUE(sum.intact() && scaled.intact() && cleared.intact() && copied.intact());
        }
    });
}

TEST(RowOps, RowsAndBias) {
    on_every_backend([](Backend &backend) {
        Random random(306);
        for (int64_t n : op_sizes) {
            const int64_t rows[] = {4, 1, 3};
            const Guarded x(random.floats(5 * n));
            Guarded picked(3 * n, NAN), spread(5 * n, -1);
            backend.gather_rows(3, n, rows, x.data(), picked.data());
            backend.scatter_rows(3, n, rows, picked.data(), spread.data());
            EXPECT_TRUE(picked.intact() && spread.intact());
            for (int64_t r = 0; r < 5; ++r) {
                const bool chosen = r != 0 && r != 2;
                for (int64_t i = 0; i < n; ++i) ASSERT_EQ(spread[r * n + i], chosen ? x[r * n + i] : -1);
            }
            Guarded db(n, 2);
            std::vector<double> want(size_t(n), 2);
            for (int64_t t = 0; t < 5; ++t) {
                for (int64_t i = 0; i < n; ++i) want[size_t(i)] += double(x[t * n + i]);
            }
            backend.bias_backward(5, n, x.data(), db.data());
            expect_close(db, want, row_tolerance, "bias");
        }
    });
}

TEST(RowOps, SumSquares) {
    for (const slm::Kernels *kernels : available_kernels()) {
        Random random(307);
        for (int64_t n : {int64_t(1), int64_t(3), int64_t(17), int64_t(33), int64_t(257), int64_t(100001)}) {
            const Guarded x(random.floats(n));
            double want = 0, first = 0;
            for (float v : x.values()) want += double(v) * double(v);
            for (int n_threads : {1, 2, 7}) {
                slm::ThreadPool pool(n_threads);
                slm::CpuBackend backend(pool, *kernels);
                const double got = backend.sum_squares(n, x.data());
                if (n_threads == 1) first = got;
                EXPECT_EQ(got, first) << n_threads << " threads";
                EXPECT_NEAR(got, want, 1e-6 * want);
            }
        }
    }
}

TEST(RowOps, AdamW) {
    on_every_backend([](Backend &backend) {
        Random random(308);
        slm_step_params params{};
        params.learning_rate = 0.01;
        params.beta1 = 0.9;
        params.beta2 = 0.98;
        params.epsilon = 1e-8;
        params.weight_decay = 0.1;
        for (int64_t n : {int64_t(1), int64_t(3), int64_t(17), int64_t(33), int64_t(257), int64_t(40000)}) {
            for (bool decay : {false, true}) {
                params.step = 3;
                const Guarded g(random.floats(n));
                Guarded m(random.floats(n)), v(random.floats(n)), p(random.floats(n));
                for (int64_t i = 0; i < n; ++i) v.data()[i] = std::fabs(v[i]);
                std::vector<double> g64 = to_double(g.values()), m64 = to_double(m.values()),
                                    v64 = to_double(v.values()), p64 = to_double(p.values());
                for (double &x : g64) x *= 0.25;
                ref::adamw(n, 3, 0.01, 0.9, 0.98, 1e-8, decay ? 0.1 : 0.0, g64.data(), p64.data(), m64.data(),
                           v64.data());
                backend.adamw(n, 0.25f, params, decay, g.data(), m.data(), v.data(), p.data());
                expect_close(p, p64, row_tolerance, "parameters");
                expect_close(m, m64, row_tolerance, "m");
                expect_close(v, v64, row_tolerance, "v");
            }
        }
    });
}

TEST(RowOps, Dropout) {
    std::vector<float> first;
    on_every_backend([&](Backend &backend) {
        const int64_t T = 40, n = 257;
        const float p = 0.3f;
        const Guarded x(T * n, 2);
        Guarded y(T * n, NAN), other(T * n, NAN), part(3 * n, NAN);
        backend.dropout(T, n, 99, 0, p, x.data(), y.data());
        EXPECT_TRUE(y.intact());
        int64_t n_dropped = 0;
        for (int64_t i = 0; i < T * n; ++i) {
            ASSERT_TRUE(y[i] == 0.0f || std::fabs(y[i] - 2 / 0.7f) < 1e-6f) << y[i];
            n_dropped += y[i] == 0.0f;
        }
        EXPECT_NEAR(double(n_dropped) / double(T * n), 0.3, 5 * std::sqrt(0.21 / double(T * n)));  // five sigma
        backend.dropout(T, n, 100, 0, p, x.data(), other.data());
        EXPECT_FALSE(bit_equal(y.values(), other.values()));
        backend.dropout(3, n, 99, 0, p, x.data(), part.data());  // a prefix draws the same
        EXPECT_EQ(std::memcmp(part.data(), y.data(), size_t(3 * n) * 4), 0);
        if (first.empty()) first = y.values();
        EXPECT_TRUE(bit_equal(first, y.values())) << "the mask depends on threads or instruction set";
        Guarded kept(T * n, NAN);
        backend.dropout(T, n, 99, 0, 0, x.data(), kept.data());
        EXPECT_TRUE(bit_equal(kept.values(), x.values()));
    });
}

/// Every op that takes rounded values computes what it computes in f32 from the same values, rounded once at the end.
TEST(RowOps, RoundedValues) {
    on_every_backend([](Backend &backend) {
        Random random(310);
        for (int64_t n : {1, 16, 17, 33, 257}) {
            const Rounded x(random.floats(n, 3).data(), 1, n), u(random.floats(n).data(), 1, n);
            const std::vector<double> x64 = x.doubles(), u64 = u.doubles();
            const Guarded x32(std::vector<float>(x64.begin(), x64.end())),
                u32(std::vector<float>(u64.begin(), u64.end()));
            const Guarded g(random.floats(n)), dy(random.floats(n));
            const auto expect_rounded = [&](const Rounded &got, const Guarded &want, const char *what) {
                const std::vector<double> values = got.doubles();
                for (int64_t i = 0; i < n; ++i)
                    ASSERT_EQ(values[size_t(i)], Rounded::value(Rounded::round(want[i])))
                        << what << " " << n << ", " << i;
            };
            Guarded y32(n), rstd(1), dx32(n, 0.5f), dx(n, 0.5f);
            Rounded y(1, n);
            backend.rms_norm(1, 1, n, 1e-5f, x32.data(), g.data(), y32.data(), rstd.data());
            backend.rms_norm(1, 1, n, 1e-5f, x.values.data(), g.data(), y.values.data(), rstd.data());
            expect_rounded(y, y32, "norm");
            backend.rms_norm_backward(1, 1, n, rstd.data(), x32.data(), g.data(), dy.data(), dx32.data());
            backend.rms_norm_backward(1, 1, n, rstd.data(), x.values.data(), g.data(), dy.data(), dx.data());
            EXPECT_TRUE(bit_equal(dx.values(), dx32.values()));
            backend.glu(SLM_ACTIVATION_SILU, n, x32.data(), u32.data(), y32.data());
            backend.glu(SLM_ACTIVATION_SILU, n, x.values.data(), u.values.data(), y.values.data());
            expect_rounded(y, y32, "glu");
            Guarded gate(x32.values()), up(u32.values());
            Rounded short_gate(x), short_up(u);
            backend.glu_backward(SLM_ACTIVATION_SILU, n, dy.data(), gate.data(), up.data());
            backend.glu_backward(SLM_ACTIVATION_SILU, n, dy.data(), short_gate.values.data(), short_up.values.data());
            expect_rounded(short_gate, gate, "dgate");
            expect_rounded(short_up, up, "dup");
            backend.copy(n, dy.data(), y.values.data());
            expect_rounded(y, dy, "copy");
            Guarded back(n);
            backend.copy(n, static_cast<const uint16_t *>(x.values.data()), back.data());
            EXPECT_TRUE(bit_equal(back.values(), x32.values()));

            if (n < 2) continue;
            for (float cap : {0.0f, 4.0f}) {
                const int32_t targets[2] = {int32_t(n - 1), 0};
                const std::vector<float> start = random.floats(2 * n, 9);
                Guarded full(start), half(start);
                double loss[2], rounded_loss[2];
                backend.cross_entropy(2, n, cap, full.data(), targets, true, loss);
                backend.cross_entropy(2, n, cap, half.data(), targets, true, rounded_loss, slm::Format::BF16);
                EXPECT_EQ(loss[0], rounded_loss[0]);
                EXPECT_EQ(loss[1], rounded_loss[1]);
                const uint16_t *gradient = reinterpret_cast<const uint16_t *>(half.data());
                for (int64_t r = 0; r < 2; ++r)
                    for (int64_t i = 0; i < n; ++i)
                        ASSERT_EQ(gradient[r * 2 * n + i], Rounded::round(full[r * n + i]))
                            << n << ", row " << r << ", " << i;
                EXPECT_TRUE(half.intact());
            }
        }
    });
}

}  // namespace
