// The reference itself: its backward functions against central differences of its forward functions, all in f64, and
// the comparators against the faults they must catch.
#include "reference.hpp"

#include <functional>

#include "test_tools.hpp"

namespace {

using namespace slm_test;
namespace ref = slm_test::reference;

/// Central differences with h = 1e-5 in f64 leave about 1e-10; 1e-7 separates that from any wrong formula.
constexpr double difference_tolerance = 1e-7;

std::vector<double> numbers(Random &random, int64_t n) {
    return to_double(random.floats(n));
}

void expect_gradient(const std::function<double()> &loss, std::vector<double> &x, const std::vector<double> &dx,
                     const char *what) {
    std::vector<double> want(x.size());
    for (size_t i = 0; i < x.size(); ++i) want[i] = ref::central_difference(loss, x[i]);
    const double error = relative_error(dx, want);
    EXPECT_FALSE(!(error <= difference_tolerance)) << what << ": " << error;
}

double dot(const std::vector<double> &a, const std::vector<double> &b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

TEST(Reference, ComparatorsCatchNanAndOverwrites) {
    EXPECT_TRUE(std::isinf(relative_error(std::vector<float>{NAN, 1}, {1, 1})));
    EXPECT_TRUE(std::isinf(relative_error(std::vector<float>{1, 1}, {1, NAN})));
    EXPECT_EQ(relative_error(std::vector<float>{1, 2}, {1, 4}), 0.5);
    Guarded g(3);
    EXPECT_TRUE(g.intact());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(g.data()) % 64, 0u);
    g.data()[3] = 0;
    EXPECT_FALSE(g.intact());
    Guarded h(3);
    h.data()[-1] = 0;
    EXPECT_FALSE(h.intact());
}

TEST(Reference, Lora) {
    Random random(1);
    const int64_t T = 3, n_in = 4, n_out = 5, r = 2;
    std::vector<double> x = numbers(random, T * n_in), a = numbers(random, r * n_in), b = numbers(random, n_out * r);
    std::vector<double> keep(size_t(T * n_in), 2.0), c = numbers(random, T * n_out);
    keep[3] = keep[7] = 0;
    const auto loss = [&] {
        std::vector<double> y(size_t(T * n_out), 0);
        ref::lora(T, n_in, n_out, r, 1.5, x.data(), keep.data(), a.data(), b.data(), y.data());
        return dot(c, y);
    };
    std::vector<double> dx(x.size()), da(a.size()), db(b.size());
    ref::lora_backward(T, n_in, n_out, r, 1.5, x.data(), keep.data(), a.data(), b.data(), c.data(), dx.data(),
                       da.data(), db.data());
    expect_gradient(loss, x, dx, "dx");
    expect_gradient(loss, a, da, "da");
    expect_gradient(loss, b, db, "db");
}

TEST(Reference, RmsNorm) {
    Random random(2);
    const int64_t T = 3, n = 7;
    std::vector<double> x = numbers(random, T * n), w = numbers(random, n), c = numbers(random, T * n);
    const auto loss = [&] {
        std::vector<double> y(x.size());
        ref::rmsnorm(T, n, 1e-5, x.data(), w.data(), y.data());
        return dot(c, y);
    };
    std::vector<double> dx(x.size()), dw(w.size());
    ref::rmsnorm_backward(T, n, 1e-5, x.data(), w.data(), c.data(), dx.data(), dw.data());
    expect_gradient(loss, x, dx, "dx");
    expect_gradient(loss, w, dw, "dw");
}

TEST(Reference, Rope) {
    Random random(3);
    const int64_t T = 3, n_head = 2, d = 6, n_rot = 4;
    const int32_t positions[] = {0, 1, 9};
    const std::vector<double> factors = {1, 3};
    for (bool neox : {false, true}) {
        std::vector<double> x = numbers(random, T * n_head * d), c = numbers(random, T * n_head * d);
        const auto loss = [&] {
            std::vector<double> y = x;
            ref::rope(T, n_head, d, n_rot, neox, positions, 100.0, 0.5, factors.data(), 1, y.data());
            return dot(c, y);
        };
        std::vector<double> dx = c;
        ref::rope(T, n_head, d, n_rot, neox, positions, 100.0, 0.5, factors.data(), -1, dx.data());
        expect_gradient(loss, x, dx, "dx");
    }
}

TEST(Reference, Attention) {
    Random random(4);
    for (int64_t window : {0, 2}) {
        for (double cap : {0.0, 1.5}) {
            const ref::AttentionShape s{4, 2, 3, {0, 4, 5, 8}, 0.7, window, cap};
            std::vector<double> q = numbers(random, 8 * 12), k = numbers(random, 8 * 6), v = numbers(random, 8 * 6);
            std::vector<double> c = numbers(random, 8 * 12), dq(q.size()), dk(k.size()), dv(v.size());
            const auto loss = [&] {
                std::vector<double> y(q.size());
                ref::attention(s, q.data(), k.data(), v.data(), y.data());
                return dot(c, y);
            };
            ref::attention_backward(s, q.data(), k.data(), v.data(), c.data(), dq.data(), dk.data(), dv.data());
            expect_gradient(loss, q, dq, "dq");
            expect_gradient(loss, k, dk, "dk");
            expect_gradient(loss, v, dv, "dv");
        }
    }
}

TEST(Reference, GatedActivations) {
    Random random(5);
    for (bool gelu : {false, true}) {
        std::vector<double> g = numbers(random, 9), u = numbers(random, 9), c = numbers(random, 9);
        for (double &v : g) v *= 4;
        const auto loss = [&] {
            std::vector<double> y(g.size());
            ref::gated(9, gelu, g.data(), u.data(), y.data());
            return dot(c, y);
        };
        std::vector<double> dg(9), du(9);
        ref::gated_backward(9, gelu, g.data(), u.data(), c.data(), dg.data(), du.data());
        expect_gradient(loss, g, dg, "dgate");
        expect_gradient(loss, u, du, "dup");
    }
}

TEST(Reference, CrossEntropyWithMaskedRowsAndCap) {
    Random random(6);
    const int64_t T = 4, V = 6;
    const int32_t targets[] = {2, -1, 5, 0};
    std::vector<double> x = numbers(random, T * V), y(x.size()), dy(x.size()), dx(x.size());
    for (double &v : x) v *= 3;
    const auto loss = [&] {
        std::vector<double> capped(x.size());
        ref::softcap(T * V, 2.0, x.data(), capped.data());
        return ref::cross_entropy(T, V, capped.data(), targets);
    };
    ref::softcap(T * V, 2.0, x.data(), y.data());
    ref::cross_entropy_backward(T, V, y.data(), targets, dy.data());
    ref::softcap_backward(T * V, 2.0, y.data(), dy.data(), dx.data());
    expect_gradient(loss, x, dx, "dlogits");
}

TEST(Reference, MatmulAndEmbedding) {
    Random random(7);
    const int64_t V = 5, n = 3, n_out = 4, T = 4;
    const int32_t tokens[] = {1, 4, 1, 0};
    std::vector<double> e = numbers(random, V * n), w = numbers(random, n_out * n), c = numbers(random, T * n_out);
    const auto loss = [&] {
        std::vector<double> x(size_t(T * n)), y(size_t(T * n_out));
        ref::embedding(T, n, 2.0, tokens, e.data(), x.data());
        ref::matmul(T, n, n_out, x.data(), w.data(), y.data());
        return dot(c, y);
    };
    std::vector<double> x(size_t(T * n)), dx(x.size()), de(e.size()), dw(w.size());
    ref::embedding(T, n, 2.0, tokens, e.data(), x.data());
    ref::matmul_dx(T, n, n_out, c.data(), w.data(), dx.data());
    ref::matmul_dw(T, n, n_out, c.data(), x.data(), dw.data());
    ref::embedding_backward(T, n, 2.0, tokens, dx.data(), de.data());
    expect_gradient(loss, w, dw, "dw");
    expect_gradient(loss, e, de, "d embedding");
}

TEST(Reference, AdamWFirstStepIsSignTimesRate) {
    // At t = 1 both corrections cancel: m_hat = g, v_hat = g^2, so the move is lr g / (|g| + eps).
    std::vector<double> w = {1, -2}, m(2), v(2);
    const std::vector<double> g = {0.5, -4};
    ref::adamw(2, 1, 0.1, 0.9, 0.999, 0.0, 0.5, g.data(), w.data(), m.data(), v.data());
    EXPECT_NEAR(w[0], 1 * (1 - 0.05) - 0.1, 1e-12);
    EXPECT_NEAR(w[1], -2 * (1 - 0.05) + 0.1, 1e-12);
}

}  // namespace
