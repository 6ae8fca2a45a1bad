// LoRA as a method: fresh adapters change nothing, merging equals applying, dropout is keyed and differentiable.
#include <gtest/gtest.h>

#include "tiny_model.hpp"

namespace {

using namespace slm_test;

struct Fixture {
    explicit Fixture(uint32_t type = 8, bool tied = true) : tiny(tiny_config(), {type, tied, false, 50}) {}
    TinyModel tiny;
    RuntimePtr runtime = make_runtime(2);
    ModelPtr model = tiny.create(runtime.get());
    TinyBatch batch = tiny_batch(43, {9, 4, 12});
};

TEST(Adapter, FreshLoraIsTheBaseBitForBit) {
    Fixture f;
    const ContextPtr plain = make_context(f.model.get(), nullptr, context_params(64, false));
    const std::vector<float> base = logits(plain.get(), f.batch, 43);
    const AdapterPtr adapter = make_adapter(f.model.get(), lora_params());
    const ContextPtr context = make_context(f.model.get(), adapter.get(), context_params());
    EXPECT_TRUE(bit_equal(base, logits(context.get(), f.batch, 43)));
    EXPECT_EQ(evaluate(plain.get(), f.batch), accumulate(context.get(), f.batch));
}

TEST(Adapter, FreshFullModeIsTheBaseBitForBit) {
    for (uint32_t type : {0u, 8u}) {
        Fixture f(type);
        const ContextPtr plain = make_context(f.model.get(), nullptr, context_params(64, false));
        const AdapterPtr adapter = make_adapter(f.model.get(), full_params());
        const ContextPtr context = make_context(f.model.get(), adapter.get(), context_params());
        EXPECT_TRUE(bit_equal(logits(plain.get(), f.batch, 43), logits(context.get(), f.batch, 43))) << type;
    }
}

TEST(Adapter, InitialValues) {
    Fixture f;
    const AdapterPtr adapter = make_adapter(f.model.get(), lora_params(16));
    const FloatSpan p = parameters(adapter.get());
    uint64_t end = 0;
    std::vector<float> first;
    for (const slm_trainable &t : trainables(adapter.get())) {
        const std::string name = t.name;
        EXPECT_GE(t.offset, end) << name << " overlaps the tensor before it";
        end = t.offset + t.n_values;
        EXPECT_LE(end, p.n);
        EXPECT_EQ(uint64_t(t.ne[0] * t.ne[1]), t.n_values);
        EXPECT_EQ(t.is_norm_or_bias, 0u);
        const float *x = p.data + t.offset;
        if (name.find(".lora_b") != std::string::npos) {
            EXPECT_EQ(t.ne[0], 16) << name;
            for (uint64_t i = 0; i < t.n_values; ++i) ASSERT_EQ(x[i], 0.0f) << name;
            continue;
        }
        ASSERT_NE(name.find(".lora_a"), std::string::npos) << name;
        EXPECT_EQ(t.ne[1], 16) << name;
        const double bound = 1 / std::sqrt(double(t.ne[0]));
        double mean = 0, squares = 0;
        for (uint64_t i = 0; i < t.n_values; ++i) {
            ASSERT_LE(std::fabs(x[i]), bound) << name;
            mean += x[i];
            squares += double(x[i]) * x[i];
        }
        const double n = double(t.n_values);
        EXPECT_LT(std::fabs(mean / n), 5 * bound / std::sqrt(3 * n)) << name;               // five standard errors
        EXPECT_NEAR(squares / n / (bound * bound / 3), 1, 5 * 0.9 / std::sqrt(n)) << name;  // variance of a uniform
        if (first.empty()) {
            first.assign(x, x + 8);
        } else {
            EXPECT_FALSE(bit_equal(first, {x, x + 8})) << name << " drew the first tensor's numbers";
        }
    }
    // The same seed gives the same numbers, another seed others; the order or set of targets changes none.
    EXPECT_TRUE(bit_equal(p.copy(), parameters(make_adapter(f.model.get(), lora_params(16)).get()).copy()));
    slm_adapter_params other = lora_params(16);
    other.seed = 6;
    EXPECT_FALSE(bit_equal(p.copy(), parameters(make_adapter(f.model.get(), other).get()).copy()));
    other = lora_params(16);
    other.targets = SLM_TARGET_FFN_DOWN;
    const AdapterPtr few = make_adapter(f.model.get(), other);
    for (const slm_trainable &t : trainables(few.get())) {
        for (const slm_trainable &same : trainables(adapter.get())) {
            if (std::string(t.name) != same.name) continue;
            EXPECT_EQ(std::memcmp(parameters(few.get()).data + t.offset, p.data + same.offset, t.n_values * 4), 0)
                << t.name;
        }
    }
}

TEST(Adapter, FullModeMarksNorms) {
    Fixture f;
    const AdapterPtr adapter = make_adapter(f.model.get(), full_params());
    const FloatSpan p = parameters(adapter.get());
    for (const slm_trainable &t : trainables(adapter.get())) {
        const bool norm = std::string(t.name).find("norm") != std::string::npos;
        EXPECT_EQ(t.is_norm_or_bias, norm ? 1u : 0u) << t.name;
        EXPECT_EQ(t.n_dims, norm ? 1u : 2u) << t.name;
        const std::vector<double> &want = f.tiny.reference.tensors.at(t.name);
        ASSERT_EQ(want.size(), t.n_values) << t.name;
        for (uint64_t i = 0; i < t.n_values; ++i) ASSERT_EQ(double(p.data[t.offset + i]), want[i]) << t.name;
    }
}

TEST(Adapter, MergedWeightsEqualTheAdapter) {
    Fixture f(2, false);
    const AdapterPtr adapter = make_adapter(f.model.get(), lora_params());
    randomize(adapter.get());
    mirror(adapter.get(), false, 1.5f, f.tiny.reference);
    TinyModel merged(tiny_config(), {0, false, false, 51});
    for (TinyTensor &t : merged.tensors) {
        const std::vector<double> &base = f.tiny.reference.tensors.at(t.name);
        Guarded out(int64_t(base.size()));
        Text text;
        text.check(slm_adapter_merge_weight(adapter.get(), t.name.c_str(), out.data(), out.size(), text.data,
                                            sizeof text.data));
        std::vector<double> want = base;
        const auto a = f.tiny.reference.lora.find(t.name + ".lora_a"),
                   b = f.tiny.reference.lora.find(t.name + ".lora_b");
        if (a != f.tiny.reference.lora.end()) {
            const int64_t n_in = t.ne[0], n_out = t.ne[1];
            for (int64_t o = 0; o < n_out; ++o) {
                for (int64_t i = 0; i < n_in; ++i) {
                    for (int64_t r = 0; r < 3; ++r) {
                        want[size_t(o * n_in + i)] +=
                            1.5 * b->second[size_t(o * 3 + r)] * a->second[size_t(r * n_in + i)];
                    }
                }
            }
        }
        expect_close(out, want, 1e-6, t.name);
        std::memcpy(t.bytes.data(), out.data(), t.bytes.size());
    }
    const ModelPtr other = merged.create(f.runtime.get());
    const ContextPtr applied = make_context(f.model.get(), adapter.get(), context_params());
    const ContextPtr folded = make_context(other.get(), nullptr, context_params(64, false));
    const std::vector<float> want = logits(applied.get(), f.batch, 43);
    EXPECT_LE(relative_error(logits(folded.get(), f.batch, 43), to_double(want)), 1e-5);
}

TEST(Adapter, DropoutIsKeyedBySeedAndSample) {
    Fixture f;
    const AdapterPtr adapter = make_adapter(f.model.get(), lora_params(3, 1.5f, 0.3f));
    randomize(adapter.get());
    const auto run = [&](uint64_t seed, uint64_t first_key) {
        slm_context_params params = context_params();
        params.dropout_seed = seed;
        const ContextPtr context = make_context(f.model.get(), adapter.get(), params);
        TinyBatch batch = f.batch;
        batch.keys[0] = first_key;
        return accumulate(context.get(), batch);
    };
    const std::vector<double> one = run(77, 1000);
    EXPECT_EQ(one, run(77, 1000));
    const std::vector<double> other_seed = run(78, 1000), other_key = run(77, 5);
    for (size_t s = 0; s < one.size(); ++s) EXPECT_NE(one[s], other_seed[s]);
    EXPECT_NE(one[0], other_key[0]);
    EXPECT_EQ(one[1], other_key[1]);  // other samples' draws do not move
    const ContextPtr context = make_context(f.model.get(), adapter.get(), context_params());
    EXPECT_NE(one, evaluate(context.get(), f.batch));  // evaluation drops nothing
    mirror(adapter.get(), false, 1.5f, f.tiny.reference);
    EXPECT_NEAR(sum(evaluate(context.get(), f.batch)), f.tiny.reference.loss(f.batch.decoder), 1e-3);
}

TEST(Adapter, DropoutGradientFollowsItsOwnLoss) {
    // The mask is fixed by the keys, so the loss with dropout is a smooth function: its slope along a random direction,
    // by differences of the library's own f32 loss, must equal the gradient. 1e-2 covers f32 rounding over the step.
    Fixture f(0);
    const AdapterPtr adapter = make_adapter(f.model.get(), lora_params(3, 1.5f, 0.4f));
    randomize(adapter.get());
    const ContextPtr context = make_context(f.model.get(), adapter.get(), context_params());
    accumulate(context.get(), f.batch);
    const std::vector<float> gradient = block(context.get(), SLM_BLOCK_GRADIENTS).copy();
    const FloatSpan p = parameters(adapter.get());
    const std::vector<float> kept = p.copy();
    for (uint64_t seed : {1, 2, 3, 4}) {
        Random random(seed);
        std::vector<double> direction(kept.size());
        double want = 0, size = 0;
        for (size_t i = 0; i < kept.size(); ++i) {
            direction[i] = random.value();
            want += direction[i] * double(gradient[i]);
            size += double(gradient[i]) * double(gradient[i]);
        }
        const double h = 2e-4;
        const auto at = [&](double along) {
            for (size_t i = 0; i < kept.size(); ++i) p.data[i] = float(kept[i] + along * direction[i]);
            return sum(accumulate(context.get(), f.batch));
        };
        const double got = (at(h) - at(-h)) / (2 * h);
        EXPECT_NEAR(got, want, 1e-2 * std::sqrt(size)) << seed;
    }
}

TEST(Adapter, ObjectsMayBeFreedInAnyOrder) {
    TinyModel tiny(tiny_config(), {8, true, false, 52});
    RuntimePtr runtime = make_runtime(2);
    ModelPtr model = tiny.create(runtime.get());
    AdapterPtr adapter = make_adapter(model.get(), lora_params());
    ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    runtime.reset();
    model.reset();
    adapter.reset();
    EXPECT_TRUE(std::isfinite(sum(accumulate(context.get(), tiny_batch(43, {5})))));
}

}  // namespace
