// Attention of the CPU backend against f64: every length, grouping, window and cap; sequences never see each other.
#include <gtest/gtest.h>

#include "backend_tools.hpp"
#include "reference.hpp"

namespace {

using namespace slm_test;
namespace ref = slm_test::reference;
using slm::Backend;

constexpr double attention_tolerance = 5e-6;

struct Case {
    int64_t n_head, n_head_kv, d;
    std::vector<int64_t> lengths;
    int64_t window = 0;
    double cap = 0;
};

struct Result {
    std::vector<float> out, lse, dq, dk, dv;
};

struct Inputs {
    Inputs(const Case &c, uint64_t seed) : c(c) {
        Random random(seed);
        offsets = {0};
        for (int64_t length : c.lengths) offsets.push_back(offsets.back() + length);
        const int64_t T = offsets.back();
        q = random.floats(T * c.n_head * c.d, 1.5);
        k = random.floats(T * c.n_head_kv * c.d, 1.5);
        v = random.floats(T * c.n_head_kv * c.d);
        dout = random.floats(T * c.n_head * c.d);
        shape.n_head = c.n_head;
        shape.n_head_kv = c.n_head_kv;
        shape.head_dim = c.d;
        shape.window = c.window;
        shape.scale = float(1 / std::sqrt(double(c.d)));
        shape.softcap = float(c.cap);
    }
    const Case c;
    slm::AttentionShape shape;
    std::vector<int64_t> offsets;
    std::vector<float> q, k, v, dout;
};

/// Sequences [first, last) of the inputs, alone.
Result run(Backend &backend, const Inputs &in, size_t first, size_t last) {
    const int64_t from = in.offsets[first], T = in.offsets[last] - from;
    std::vector<int64_t> offsets;
    int64_t longest = 0;
    for (size_t s = first; s <= last; ++s) {
        offsets.push_back(in.offsets[s] - from);
        if (s > first) longest = std::max(longest, in.offsets[s] - in.offsets[s - 1]);
    }
    slm::Sequences seqs;
    seqs.count = int64_t(last - first);
    seqs.offsets = offsets.data();
    const int64_t wide = in.c.n_head * in.c.d, narrow = in.c.n_head_kv * in.c.d;
    const auto cut = [&](const std::vector<float> &x, int64_t width) {
        return std::vector<float>(x.begin() + from * width, x.begin() + (from + T) * width);
    };
    const Guarded q(cut(in.q, wide)), k(cut(in.k, narrow)), v(cut(in.v, narrow)), dout(cut(in.dout, wide));
    Guarded out(T * wide, NAN), lse(T * in.c.n_head, NAN), dq(T * wide, NAN), dk(T * narrow, NAN), dv(T * narrow, NAN);
    // Filled with NaN: scratch must not be read before it is written.
    Guarded scratch(backend.attention_scratch(in.shape, std::max(longest, T), slm::Format::F32) / 4 + 1, NAN);
    backend.attention(in.shape, seqs, q.data(), k.data(), v.data(), out.data(), lse.data(), scratch.data());
    std::fill(scratch.data(), scratch.data() + scratch.size(), NAN);
    backend.attention_backward(in.shape, seqs, q.data(), k.data(), v.data(), out.data(), lse.data(), dout.data(),
                               dq.data(), dk.data(), dv.data(), scratch.data());
    EXPECT_TRUE(out.intact() && lse.intact() && dq.intact() && dk.intact() && dv.intact() && scratch.intact());
    return {out.values(), lse.values(), dq.values(), dk.values(), dv.values()};
}

void expect_attention(Backend &backend, const Case &c, bool differences, const std::string &what) {
    const Inputs in(c, 400);
    const Result got = run(backend, in, 0, c.lengths.size());
    const ref::AttentionShape shape{c.n_head, c.n_head_kv, c.d, in.offsets, double(in.shape.scale), c.window, c.cap};
    std::vector<double> q = to_double(in.q), k = to_double(in.k), v = to_double(in.v);
    const std::vector<double> dout = to_double(in.dout);
    std::vector<double> out(q.size()), dq(q.size()), dk(k.size()), dv(v.size());
    ref::attention(shape, q.data(), k.data(), v.data(), out.data());
    ref::attention_backward(shape, q.data(), k.data(), v.data(), dout.data(), dq.data(), dk.data(), dv.data());
    expect_close(Guarded(got.out), out, attention_tolerance, what + " out");
    expect_close(Guarded(got.dv), dv, attention_tolerance, what + " dv");
    // A single key has no choice: dq and dk are zero there and only rounding remains.
    const double size = std::fmax(largest(dv), 1);
    for (size_t i = 0; i < dq.size(); ++i)
        ASSERT_FALSE(!(std::fabs(got.dq[i] - dq[i]) <= attention_tolerance * size)) << what << " dq " << i;
    for (size_t i = 0; i < dk.size(); ++i)
        ASSERT_FALSE(!(std::fabs(got.dk[i] - dk[i]) <= attention_tolerance * size)) << what << " dk " << i;
    if (!differences) return;
    Random random(401);
    const auto loss = [&] {
        std::vector<double> again(out.size());
        ref::attention(shape, q.data(), k.data(), v.data(), again.data());
        return dot(again, dout);
    };
    expect_central_differences(loss, q, dq, random, what + " dq");
    expect_central_differences(loss, k, dk, random, what + " dk");
    expect_central_differences(loss, v, dv, random, what + " dv");
}

TEST(Attention, EverySizeAndShape) {
    on_every_backend([](Backend &backend) {
        for (int64_t T : op_sizes) {
            expect_attention(backend, {2, 1, 16, {T}}, T <= 33, "one sequence of " + std::to_string(T));
            expect_attention(backend, {2, 2, 10, {T, 3}, 5}, T <= 33, "window, two sequences, " + std::to_string(T));
        }
        for (int64_t d : {1, 3, 17, 33, 64})
            expect_attention(backend, {4, 2, d, {19}}, true, "head " + std::to_string(d));
        expect_attention(backend, {6, 2, 8, {49, 1, 64, 65}}, false, "three to a key head, packed");
        expect_attention(backend, {2, 1, 16, {20, 7}, 0, 1.5}, true, "cap");
        expect_attention(backend, {2, 1, 16, {130}, 12, 1.5}, false, "cap and window");
        expect_attention(backend, {2, 1, 16, {130}, 1}, false, "window of one");
        expect_attention(backend, {1, 1, 16, {40}, 500}, true, "window beyond the sequence");
        // Several tiles of keys; above 1,024 tokens a head is computed in two parts.
        expect_attention(backend, {2, 1, 16, {601}}, false, "two tiles");
        expect_attention(backend, {1, 1, 12, {5, 1041, 3}}, false, "two parts");
        expect_attention(backend, {1, 1, 16, {1041}, 70, 1.5}, false, "rows that see nothing of the first part");
        expect_attention(backend, {1, 1, 16, {1041}, 700}, false, "a window over both parts");
    });
}

TEST(Attention, PackedEqualsAloneForAnyThreads) {
    for (const slm::Kernels *kernels : available_kernels()) {
        const Case c{4, 2, 20, {50, 1, 1100, 16}, 30, 0};
        const Inputs in(c, 402);
        slm::ThreadPool one(1), many(5);
        slm::CpuBackend single(one, *kernels), several(many, *kernels);
        const Result packed = run(single, in, 0, 4);
        const Result threaded = run(several, in, 0, 4);
        EXPECT_TRUE(bit_equal(packed.out, threaded.out) && bit_equal(packed.dq, threaded.dq) &&
                    bit_equal(packed.dk, threaded.dk) && bit_equal(packed.dv, threaded.dv))
            << kernels->name;
        for (size_t s = 0; s < 4; ++s) {
            const Result alone = run(single, in, s, s + 1);
            const int64_t from = in.offsets[s];
            const auto same = [&](const std::vector<float> &part, const std::vector<float> &all, int64_t width) {
                return std::memcmp(part.data(), all.data() + from * width, part.size() * 4) == 0;
            };
            EXPECT_TRUE(same(alone.out, packed.out, 80) && same(alone.lse, packed.lse, 4) &&
                        same(alone.dq, packed.dq, 80) && same(alone.dk, packed.dk, 40) && same(alone.dv, packed.dv, 40))
                << kernels->name << " sequence " << s;
        }
    }
}

/// Rounded values: within what 8 bits of mantissa allow of f64, whatever is packed with them, for any threads.
Result run_rounded(Backend &backend, const Inputs &in, size_t first, size_t last) {
    const int64_t from = in.offsets[first], T = in.offsets[last] - from, hd = in.c.d;
    std::vector<int64_t> offsets;
    for (size_t s = first; s <= last; ++s) offsets.push_back(in.offsets[s] - from);
    const int64_t wide = in.c.n_head * hd, narrow = in.c.n_head_kv * hd;
    const Rounded q(in.q.data() + from * wide, T, wide), k(in.k.data() + from * narrow, T, narrow);
    const Rounded v(in.v.data() + from * narrow, T, narrow), dout(in.dout.data() + from * wide, T, wide);
    Rounded out(T, wide);
    Guarded lse(T * in.c.n_head, NAN), dq(T * wide, NAN), dk(T * narrow, NAN), dv(T * narrow, NAN);
    Guarded scratch(backend.attention_scratch(in.shape, T, slm::Format::BF16) / 4 + 1, NAN);
    const slm::Sequences seqs{int64_t(last - first), offsets.data()};
    backend.attention(in.shape, seqs, q.values.data(), k.values.data(), v.values.data(), out.values.data(), lse.data(),
                      scratch.data());
    std::fill(scratch.data(), scratch.data() + scratch.size(), NAN);
    backend.attention_backward(in.shape, seqs, q.values.data(), k.values.data(), v.values.data(),
                               static_cast<const uint16_t *>(out.values.data()), lse.data(), dout.values.data(),
                               dq.data(), dk.data(), dv.data(), scratch.data());
    EXPECT_TRUE(lse.intact() && dq.intact() && dk.intact() && dv.intact() && scratch.intact());
    std::vector<float> out32;
    for (double x : out.doubles()) out32.push_back(float(x));
    return {out32, lse.values(), dq.values(), dk.values(), dv.values()};
}

TEST(AttentionRounded, StaysNearF64) {
    on_every_bf16_backend([](Backend &backend) {
        for (const Case &c : {Case{2, 1, 16, {1}}, Case{2, 1, 16, {33, 2}}, Case{3, 3, 32, {130}},
                              Case{4, 2, 80, {51, 64}}, Case{2, 1, 128, {97}}, Case{2, 1, 16, {130, 5}, 12, 1.5},
                              Case{2, 1, 64, {257}, 50}, Case{2, 1, 16, {601}}, Case{1, 1, 16, {5, 1041, 3}},
                              Case{1, 1, 16, {1041}, 70, 1.5}, Case{1, 1, 16, {1041}, 700}}) {
            const Inputs in(c, 404);
            ASSERT_TRUE(backend.rounds_attention(in.shape));
            const Result got = run_rounded(backend, in, 0, c.lengths.size());
            const ref::AttentionShape shape{c.n_head, c.n_head_kv, c.d, in.offsets, double(in.shape.scale),
                                            c.window, c.cap};
            const std::vector<double> q = to_double(in.q), k = to_double(in.k), v = to_double(in.v),
                                      dout = to_double(in.dout);
            std::vector<double> out(q.size()), dq(q.size()), dk(k.size()), dv(v.size());
            ref::attention(shape, q.data(), k.data(), v.data(), out.data());
            ref::attention_backward(shape, q.data(), k.data(), v.data(), dout.data(), dq.data(), dk.data(), dv.data());
            const auto near = [&](const std::vector<float> &x, const std::vector<double> &want, const char *what) {
                double error = 0, size = 0;
                for (size_t i = 0; i < want.size(); ++i) {
                    error += (double(x[i]) - want[i]) * (double(x[i]) - want[i]);
                    size += want[i] * want[i];
                }
                EXPECT_FALSE(!(std::sqrt(error) <= 0.015 * std::sqrt(size) + 1e-6)) << what << " head " << c.d;
            };
            near(got.out, out, "out");
            near(got.dv, dv, "dv");
            if (in.offsets.back() == 1) continue;  // a single key has no choice: dq and dk are zero
            near(got.dq, dq, "dq");
            near(got.dk, dk, "dk");
        }
    });
}

TEST(AttentionRounded, PackedEqualsAloneForAnyThreads) {
    for (const slm::Kernels *kernels : available_bf16_kernels()) {
        const Inputs in({4, 2, 32, {50, 1, 1100, 16}, 30, 0}, 405);
        slm::ThreadPool one(1), many(5);
        slm::CpuBackend single(one, *kernels), several(many, *kernels);
        const Result packed = run_rounded(single, in, 0, 4), threaded = run_rounded(several, in, 0, 4);
        EXPECT_TRUE(bit_equal(packed.out, threaded.out) && bit_equal(packed.dq, threaded.dq) &&
                    bit_equal(packed.dk, threaded.dk) && bit_equal(packed.dv, threaded.dv))
            << kernels->name;
        for (size_t s = 0; s < 4; ++s) {
            const Result alone = run_rounded(single, in, s, s + 1);
            const int64_t from = in.offsets[s];
            const auto same = [&](const std::vector<float> &part, const std::vector<float> &all, int64_t width) {
                return std::memcmp(part.data(), all.data() + from * width, part.size() * 4) == 0;
            };
            EXPECT_TRUE(same(alone.out, packed.out, 128) && same(alone.dq, packed.dq, 128) &&
                        same(alone.dk, packed.dk, 64) && same(alone.dv, packed.dv, 64))
                << kernels->name << " sequence " << s;
        }
    }
}

TEST(Attention, LargeScoresStayFinite) {
    on_every_backend([](Backend &backend) {
        Inputs in({1, 1, 16, {20}}, 403);
        for (float &x : in.q) x *= 200;
        const Result got = run(backend, in, 0, 1);
        for (const std::vector<float> *part : {&got.out, &got.lse, &got.dq, &got.dk, &got.dv}) {
            for (float x : *part) ASSERT_TRUE(std::isfinite(x));
        }
    });
}

}  // namespace
