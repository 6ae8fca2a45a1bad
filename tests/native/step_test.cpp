// The optimizer step through the C interface against AdamW in f64; planning; what one step leaves behind.
#include <gtest/gtest.h>

#include "tiny_model.hpp"

namespace {

using namespace slm_test;

slm_step_params step_params(int64_t step, double max_norm, double decay, bool decay_norms) {
    slm_step_params p = sized<slm_step_params>();
    p.step = step;
    p.n_targets = 17;
    p.learning_rate = 0.01;
    p.beta1 = 0.9;
    p.beta2 = 0.99;
    p.epsilon = 1e-8;
    p.weight_decay = decay;
    p.max_grad_norm = max_norm;
    p.decay_norms = decay_norms;
    return p;
}

void expect_steps(bool full, double max_norm, double decay, bool decay_norms) {
    const TinyModel tiny(tiny_config(), {0, true, false, 60});
    const RuntimePtr runtime = make_runtime(2);
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), full ? full_params() : lora_params());
    if (!full) randomize(adapter.get());
    const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    const FloatSpan p = parameters(adapter.get());
    std::vector<double> w = to_double(p.copy()), m(w.size()), v(w.size());
    for (int64_t step = 1; step <= 3; ++step) {
        accumulate(context.get(), tiny_batch(43, {9, 5}, uint64_t(100 + step)));
        accumulate(context.get(), tiny_batch(43, {4}, uint64_t(200 + step)));
        std::vector<double> g = to_double(block(context.get(), SLM_BLOCK_GRADIENTS).copy());
        double squares = 0;
        for (double &x : g) {
            x /= 17;
            squares += x * x;
        }
        const double norm = std::sqrt(squares);
        const double clip = max_norm > 0 ? std::fmin(1, max_norm / (norm + 1e-6)) : 1;
        for (double &x : g) x *= clip;

        const slm_step_params params = step_params(step, max_norm, decay, decay_norms);
        slm_step_result result = sized<slm_step_result>();
        Text text;
        text.check(slm_context_step(context.get(), &params, &result, text.data, sizeof text.data));
        EXPECT_NEAR(result.grad_norm / norm, 1, 1e-6);
        EXPECT_NEAR(result.clip / clip, 1, 1e-6);

        for (const slm_trainable &t : trainables(adapter.get())) {
            const bool decays = !t.is_norm_or_bias || decay_norms;
            const size_t o = size_t(t.offset);
            reference::adamw(int64_t(t.n_values), step, 0.01, 0.9, 0.99, 1e-8, decays ? decay : 0.0, &g[o], &w[o],
                             &m[o], &v[o]);
        }
        EXPECT_LE(relative_error(p.copy(), w), 2e-6) << "parameters, step " << step;
        EXPECT_LE(relative_error(block(context.get(), SLM_BLOCK_MOMENT1).copy(), m), 2e-6) << "m, step " << step;
        EXPECT_LE(relative_error(block(context.get(), SLM_BLOCK_MOMENT2).copy(), v), 4e-6) << "v, step " << step;
        for (float x : block(context.get(), SLM_BLOCK_GRADIENTS).copy()) ASSERT_EQ(x, 0.0f);
        // Follow the library's own bits, so that rounding of one step is not counted again in the next.
        w = to_double(p.copy());
        m = to_double(block(context.get(), SLM_BLOCK_MOMENT1).copy());
        v = to_double(block(context.get(), SLM_BLOCK_MOMENT2).copy());
    }
}

TEST(Step, AdamWOnLora) {
    expect_steps(false, 0, 0.1, false);
}
TEST(Step, AdamWClipped) {
    expect_steps(false, 0.05, 0.0, false);
}
TEST(Step, AdamWOnAllWeights) {
    expect_steps(true, 0.5, 0.1, false);
}
TEST(Step, AdamWDecaysNormsWhenAsked) {
    expect_steps(true, 0, 0.1, true);
}

TEST(Step, RateZeroKeepsParametersAndMovesMoments) {
    const TinyModel tiny(tiny_config());
    const RuntimePtr runtime = make_runtime(1);
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    const std::vector<float> before = parameters(adapter.get()).copy();
    accumulate(context.get(), tiny_batch(43, {9}));
    slm_step_params params = step_params(1, 1, 0.1, true);
    params.learning_rate = 0;
    slm_step_result result = sized<slm_step_result>();
    Text text;
    text.check(slm_context_step(context.get(), &params, &result, text.data, sizeof text.data));
    EXPECT_TRUE(bit_equal(before, parameters(adapter.get()).copy()));
    double size = 0;
    for (float x : block(context.get(), SLM_BLOCK_MOMENT1).copy()) size += std::fabs(double(x));
    EXPECT_GT(size, 0);
}

TEST(Step, RepeatedStepsLowerTheLoss) {
    for (bool full : {false, true}) {
        const TinyModel tiny(tiny_config(), {8, true, false, 61});
        const RuntimePtr runtime = make_runtime(2);
        const ModelPtr model = tiny.create(runtime.get());
        const AdapterPtr adapter = make_adapter(model.get(), full ? full_params() : lora_params(8));
        const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
        const TinyBatch batch = tiny_batch(43, {12, 12});
        const double first = sum(evaluate(context.get(), batch));
        for (int64_t step = 1; step <= 60; ++step) {
            accumulate(context.get(), batch);
            const slm_step_params params = step_params(step, 1, 0, false);
            slm_step_result result = sized<slm_step_result>();
            Text text;
            text.check(slm_context_step(context.get(), &params, &result, text.data, sizeof text.data));
        }
        EXPECT_LT(sum(evaluate(context.get(), batch)), 0.2 * first) << "full " << full;
    }
}

TEST(Plan, CountsWhatTheContextHolds) {
    const TinyModel tiny(tiny_config(), {8, true, false, 62});
    uint64_t weight_bytes = 0;
    for (const TinyTensor &t : tiny.tensors) weight_bytes += t.bytes.size();
    const RuntimePtr runtime = make_runtime(1);
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    const uint64_t n = parameters(adapter.get()).n;
    Text text;
    const auto plan = [&](int tokens, bool training) {
        slm_plan p = sized<slm_plan>();
        const slm_context_params params = context_params(tokens, training);
        text.check(slm_context_plan(model.get(), training ? adapter.get() : nullptr, &params, &p, text.data,
                                    sizeof text.data));
        return p;
    };
    const slm_plan small = plan(16, true), large = plan(256, true), still = plan(large.fill_tokens, false);
    EXPECT_EQ(small.weight_bytes, weight_bytes);
    EXPECT_GE(small.parameter_bytes, 4 * n);
    EXPECT_GE(small.optimizer_bytes, 12 * n);
    EXPECT_LT(small.optimizer_bytes, 12 * n + 4096);
    EXPECT_LT(small.activation_bytes, large.activation_bytes);
    EXPECT_LT(still.activation_bytes, large.activation_bytes);
    EXPECT_EQ(still.optimizer_bytes, 0u);
    EXPECT_EQ(small.total_bytes, small.parameter_bytes + small.optimizer_bytes + small.activation_bytes +
                                     small.logit_bytes + small.pack_bytes);
    EXPECT_GE(small.fill_tokens, 1);
    EXPECT_GT(small.flops_per_token, 0);
}

TEST(Plan, LogitsAddNoMoreThanTheyAre) {
    DecoderConfig config = tiny_config();
    config.n_vocab = 4096;
    const TinyModel tiny(config, {8, true, false, 62});
    const RuntimePtr runtime = make_runtime(1);
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    for (int tokens : {1, 64, 1024, 8192})
        for (int longest : {1, 300, 2000, 20000}) {
            slm_context_params params = context_params(tokens);
            params.max_sequence_tokens = longest;
            params.logit_rows = 256;
            slm_plan p = sized<slm_plan>();
            Text text;
            text.check(slm_context_plan(model.get(), adapter.get(), &params, &p, text.data, sizeof text.data));
            EXPECT_LE(p.logit_bytes, uint64_t{256} * (4096 + 16 * 32) * 4) << tokens << ", " << longest;
            EXPECT_EQ(p.total_bytes,
                      p.parameter_bytes + p.optimizer_bytes + p.activation_bytes + p.logit_bytes + p.pack_bytes);
        }
}

}  // namespace
