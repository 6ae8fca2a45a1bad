// Whole models through the C interface: loss, logits and every trainable's gradient against the f64 decoder.
#include <gtest/gtest.h>

#include "core/profile.hpp"
#include "tiny_model.hpp"

namespace {

using namespace slm_test;

/// f32 forward and backward of these models stay within 3e-6 of f64; a wrong term is off by more than 1e-2.
constexpr double loss_tolerance = 2e-6;
constexpr double logit_tolerance = 1e-5;
/// Largest difference over the tensor's largest gradient; the same bound as the architecture fixtures'.
constexpr double gradient_tolerance = 2e-5;

struct Variant {
    const char *name;
    TinyOptions options;
    void (*change)(DecoderConfig &);
};

const Variant variants[] = {
    {"plain", {}, [](DecoderConfig &) {}},
    {"untied", {0, false, false, 12}, [](DecoderConfig &) {}},
    {"rope_freqs", {0, true, true, 13}, [](DecoderConfig &) {}},
    {"neox_partial", {}, [](DecoderConfig &c) { c.neox = true, c.n_rot = 8; }},
    {"pairs_partial", {}, [](DecoderConfig &c) { c.n_rot = 6; }},
    {"no_gqa", {}, [](DecoderConfig &c) { c.n_head_kv = 4; }},
    {"one_kv_head", {}, [](DecoderConfig &c) { c.n_head_kv = 1; }},
    {"window", {}, [](DecoderConfig &c) { c.window = 3; }},
    {"window_pattern", {}, [](DecoderConfig &c) { c.window = 3, c.pattern = 2, c.rope_base_local = 50; }},
    {"caps", {}, [](DecoderConfig &c) { c.attention_cap = 1.5, c.final_cap = 3; }},
    {"gelu_scaled_embedding", {}, [](DecoderConfig &c) { c.gelu = true, c.embedding_scale = 5.5; }},
    {"rope_scaled", {}, [](DecoderConfig &c) { c.rope_scale = 0.25; }},
    {"odd_head", {}, [](DecoderConfig &c) { c.n_embd_head = c.n_rot = 10, c.n_embd = 30, c.n_ff = 34; }},
    {"biases_and_more_norms", {0, true, false, 21, true}, [](DecoderConfig &c) { c.neox = true, c.window = 4; }},
    {"biases_and_more_norms_q8_0", {8, false, false, 22, true}, [](DecoderConfig &c) { c.final_cap = 5; }},
    {"f16", {1, true, false, 14}, [](DecoderConfig &) {}},
    {"bf16", {30, false, false, 15}, [](DecoderConfig &) {}},
    {"q4_0", {2, true, false, 16}, [](DecoderConfig &) {}},
    {"q4_1", {3, false, false, 17}, [](DecoderConfig &) {}},
    {"q5_0", {6, true, false, 18}, [](DecoderConfig &) {}},
    {"q5_1", {7, true, false, 19}, [](DecoderConfig &) {}},
    {"q8_0", {8, true, true, 20}, [](DecoderConfig &) {}},
};

class Model : public testing::TestWithParam<Variant> {
 protected:
    static DecoderConfig config() {
        DecoderConfig c = tiny_config();
        GetParam().change(c);
        return c;
    }
};

void expect_gradients(slm_adapter *adapter, slm_context *context, bool full, float scale, TinyModel &tiny,
                      const TinyBatch &batch) {
    mirror(adapter, full, scale, tiny.reference);
    const std::vector<double> losses = accumulate(context, batch);
    const double want_loss = tiny.reference.loss(batch.decoder);
    EXPECT_FALSE(!(std::fabs(sum(losses) - want_loss) <= loss_tolerance * want_loss))
        << sum(losses) << " " << want_loss;

    const std::vector<float> gradient = block(context, SLM_BLOCK_GRADIENTS).copy();
    Random random(9);
    for (const slm_trainable &t : trainables(adapter)) {
        std::vector<double> &x = (full ? tiny.reference.tensors : tiny.reference.lora).at(t.name);
        const auto loss = [&] { return tiny.reference.loss(batch.decoder); };
        const float *g = gradient.data() + t.offset;
        double size = 0;
        for (uint64_t i = 0; i < t.n_values; ++i) size = std::fmax(size, std::fabs(double(g[i])));
        EXPECT_FALSE(!(size > 0)) << t.name << ": gradient is all zero";
        // Single values: the first, the last and some between.
        for (int k = 0; k < 6; ++k) {
            const uint64_t i = k == 0 ? 0 : k == 1 ? t.n_values - 1 : uint64_t(random.below(int64_t(t.n_values)));
            const double want = reference::central_difference(loss, x[i]);
            EXPECT_FALSE(!(std::fabs(g[i] - want) <= gradient_tolerance * size))
                << t.name << "[" << i << "]: " << g[i] << ", central difference " << want << ", largest " << size;
        }
        // Every value at once: the slope along a random direction.
        std::vector<double> direction(x.size());
        double got = 0, norm = 0;
        for (size_t i = 0; i < x.size(); ++i) {
            direction[i] = random.value();
            got += direction[i] * double(g[i]);
            norm += direction[i] * direction[i];
        }
        const std::vector<double> kept = x;
        double along = 0;
        const auto moved = [&] {
            for (size_t i = 0; i < x.size(); ++i) x[i] = kept[i] + along * direction[i];
            return tiny.reference.loss(batch.decoder);
        };
        const double want = reference::central_difference(moved, along, 1e-5);
        x = kept;
        EXPECT_FALSE(!(std::fabs(got - want) <= gradient_tolerance * size * std::sqrt(norm)))
            << t.name << " along a random direction: " << got << ", central difference " << want;
    }
}

TEST_P(Model, LogitsAndLoss) {
    const TinyModel tiny(config(), GetParam().options);
    const RuntimePtr runtime = make_runtime(2);
    const ModelPtr model = tiny.create(runtime.get());
    const ContextPtr context = make_context(model.get(), nullptr, context_params(64, false));
    const TinyBatch batch = tiny_batch(tiny.reference.config.n_vocab, {7, 1, 12});
    const std::vector<double> want = tiny.reference.logits(batch.decoder);
    EXPECT_LE(relative_error(logits(context.get(), batch, tiny.reference.config.n_vocab), want), logit_tolerance);
    const double want_loss = tiny.reference.loss(batch.decoder), got_loss = sum(evaluate(context.get(), batch));
    EXPECT_FALSE(!(std::fabs(got_loss - want_loss) <= loss_tolerance * want_loss)) << got_loss << " " << want_loss;
}

TEST_P(Model, LoraGradients) {
    TinyModel tiny(config(), GetParam().options);
    const RuntimePtr runtime = make_runtime(2);
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    ASSERT_EQ(trainables(adapter.get()).size(), size_t(2 * 7 * tiny.reference.config.n_layer));
    randomize(adapter.get());
    const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    expect_gradients(adapter.get(), context.get(), false, 1.5f, tiny,
                     tiny_batch(tiny.reference.config.n_vocab, {6, 1, 5}));
}

TEST_P(Model, FullGradients) {
    TinyModel tiny(config(), GetParam().options);
    const RuntimePtr runtime = make_runtime(2);
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), full_params());
    const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    // Every tensor but the fixed rope factors trains.
    size_t n_expected = 0;
    for (const TinyTensor &t : tiny.tensors) n_expected += t.name != "rope_freqs.weight";
    EXPECT_EQ(trainables(adapter.get()).size(), n_expected);
    expect_gradients(adapter.get(), context.get(), true, 0, tiny, tiny_batch(tiny.reference.config.n_vocab, {6, 1, 5}));
}

INSTANTIATE_TEST_SUITE_P(Variants, Model, testing::ValuesIn(variants),
                         [](const testing::TestParamInfo<Variant> &info) { return info.param.name; });

/// K-quants need rows of 256; one layer keeps the f64 side quick.
TEST(ModelKQuants, LossAndLoraGradients) {
    for (uint32_t type : {12u, 13u, 14u}) {
        DecoderConfig c = tiny_config();
        c.n_layer = 1;
        c.n_embd = c.n_ff = 256;
        c.n_embd_head = 64;
        c.n_rot = 64;
        c.attention_scale = 0.02;
        TinyModel tiny(c, {type, false, false, 30 + type});
        const RuntimePtr runtime = make_runtime(2);
        const ModelPtr model = tiny.create(runtime.get());
        const AdapterPtr adapter = make_adapter(model.get(), lora_params());
        randomize(adapter.get(), 4, 0.05);
        const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
        SCOPED_TRACE(type);
        expect_gradients(adapter.get(), context.get(), false, 1.5f, tiny, tiny_batch(c.n_vocab, {5, 2}));
    }
}

TEST(WholeModel, SubsetsOfTargetsTrainOnlyThose) {
    TinyModel tiny(tiny_config());
    const RuntimePtr runtime = make_runtime(1);
    const ModelPtr model = tiny.create(runtime.get());
    const char *names[] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};
    for (int site = 0; site < 7; ++site) {
        slm_adapter_params params = lora_params();
        params.targets = 1u << site;
        const AdapterPtr adapter = make_adapter(model.get(), params);
        for (const slm_trainable &t : trainables(adapter.get())) {
            EXPECT_NE(std::string(t.name).find(std::string(".") + names[site] + ".weight.lora_"), std::string::npos)
                << t.name;
        }
        randomize(adapter.get());
        tiny.reference.lora.clear();
        const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
        SCOPED_TRACE(names[site]);
        expect_gradients(adapter.get(), context.get(), false, 1.5f, tiny, tiny_batch(43, {4, 3}));
    }
}

TEST(WholeModel, LossesAndCountsAreBySequence) {
    const TinyModel tiny(tiny_config());
    const RuntimePtr runtime = make_runtime(1);
    const ModelPtr model = tiny.create(runtime.get());
    const ContextPtr context = make_context(model.get(), nullptr, context_params(64, false));
    TinyBatch batch = tiny_batch(43, {7, 4, 5});
    for (int64_t t = batch.decoder.offsets[1]; t < batch.decoder.offsets[2]; ++t) batch.decoder.targets[size_t(t)] = -1;
    std::vector<double> losses(3, -1);
    std::vector<int64_t> counts(3, -1);
    const slm_batch view = batch.view();
    Text text;
    text.check(slm_context_evaluate(context.get(), &view, losses.data(), counts.data(), text.data, sizeof text.data));
    EXPECT_EQ(losses[1], 0.0);
    EXPECT_EQ(counts[1], 0);
    for (int64_t s : {int64_t(0), int64_t(2)}) {
        const TinyBatch one = batch.part(s, s + 1);
        int64_t n = 0;
        for (int32_t target : one.decoder.targets) n += target >= 0;
        EXPECT_EQ(counts[size_t(s)], n);
        EXPECT_NEAR(losses[size_t(s)], tiny.reference.loss(one.decoder), 1e-4);
    }
}

TEST(WholeModel, GivenPositionsReplaceTheCount) {
    TinyModel tiny(tiny_config());
    const RuntimePtr runtime = make_runtime(1);
    const ModelPtr model = tiny.create(runtime.get());
    const ContextPtr context = make_context(model.get(), nullptr, context_params(64, false));
    const TinyBatch batch = tiny_batch(43, {6});
    slm_batch view = batch.view();
    std::vector<int32_t> positions = {0, 1, 2, 3, 4, 5};
    double counted = 0, given = 0, spread = 0;
    int64_t n = 0;
    Text text;
    text.check(slm_context_evaluate(context.get(), &view, &counted, &n, text.data, sizeof text.data));
    view.positions = positions.data();
    text.check(slm_context_evaluate(context.get(), &view, &given, &n, text.data, sizeof text.data));
    positions = {0, 3, 6, 9, 12, 15};
    text.check(slm_context_evaluate(context.get(), &view, &spread, &n, text.data, sizeof text.data));
    EXPECT_EQ(counted, given);
    EXPECT_NE(counted, spread);
    // Three times the distance is three times the frequency.
    tiny.reference.config.rope_scale = 3;
    EXPECT_NEAR(spread, tiny.reference.loss(batch.decoder), 1e-4);
}

TEST(Profile, PhasesAndTraceCoverAStep) {
    const TinyModel tiny(tiny_config(), {8, true, false, 48});
    const RuntimePtr runtime = make_runtime(2);
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    const TinyBatch batch = tiny_batch(43, {9, 5});
    Text text;
    std::vector<slm_trace_event> events(1000);
    text.check(slm_context_trace(context.get(), events.data(), events.size(), text.data, sizeof text.data));
    accumulate(context.get(), batch);
    slm_profile profile = sized<slm_profile>();
    text.check(slm_context_get_profile(context.get(), &profile, text.data, sizeof text.data));
    for (int phase : {SLM_PHASE_FORWARD, SLM_PHASE_BACKWARD, SLM_PHASE_ATTENTION, SLM_PHASE_HEAD, SLM_PHASE_ADAPTER}) {
        EXPECT_GT(profile.nanoseconds[phase], 0u) << phase;
        EXPECT_GT(profile.bytes[phase], 0u) << phase;
        EXPECT_GT(profile.calls[phase], 0u) << phase;
    }
    EXPECT_EQ(profile.nanoseconds[SLM_PHASE_OPTIMIZER], 0u);
    ASSERT_GT(profile.n_events, 0u);
    ASSERT_LE(profile.n_events, events.size());
    uint64_t whole = 0, sum = 0;
    for (uint64_t i = 0; i < profile.n_events; ++i) {
        EXPECT_LT(events[i].phase, uint32_t(slm::kPhases));
        EXPECT_LE(events[i].begin_ns, events[i].end_ns);
        if (events[i].phase != SLM_PHASE_ATTENTION && events[i].phase != SLM_PHASE_ADAPTER)
            whole += events[i].end_ns - events[i].begin_ns;
        else
            EXPECT_GE(events[i].layer, 0);
    }
    for (uint64_t ns : profile.nanoseconds) sum += ns;
    EXPECT_EQ(sum, whole) << "the phases' own times add up to the outer stretches";
    // Without a trace nothing more is recorded; what does not fit is counted.
    text.check(slm_context_trace(context.get(), events.data(), 2, text.data, sizeof text.data));
    accumulate(context.get(), batch);
    text.check(slm_context_get_profile(context.get(), &profile, text.data, sizeof text.data));
    EXPECT_GT(profile.n_events, 2u);
    text.check(slm_context_trace(context.get(), nullptr, 0, text.data, sizeof text.data));
    accumulate(context.get(), batch);
    text.check(slm_context_get_profile(context.get(), &profile, text.data, sizeof text.data));
    EXPECT_EQ(profile.n_events, 0u);
}

}  // namespace
