// Same bits: for any number of threads, any packing, any micro-batch split and any amount of recomputation.
#include <gtest/gtest.h>

#include <optional>

#include "api/handles.hpp"
#include "backend_tools.hpp"
#include "tile_trap.hpp"
#include "tiny_model.hpp"

namespace {

using namespace slm_test;

struct Outcome {
    std::vector<double> losses;
    std::vector<float> gradient, parameters;
    uint64_t attention_calls;
};

struct RunSetup {
    int n_threads = 1;
    int micro_batch_tokens = 64;
    int max_sequence_tokens = 64;
    int logit_rows = 4;
    bool full = false;
    float dropout = 0;
    bool step = false;
    slm_compute compute = SLM_COMPUTE_F32;
    std::vector<int64_t> cuts;              ///< sequences per call; empty: all at once
    const slm::Kernels *kernels = nullptr;  ///< nullptr: the library's choice
};

Outcome outcome(const TinyModel &tiny, const TinyBatch &batch, const RunSetup &setup) {
    const RuntimePtr runtime =
        setup.kernels == nullptr
            ? make_runtime(setup.n_threads)
            : RuntimePtr(new slm_runtime{std::make_shared<slm::Runtime>(setup.n_threads, *setup.kernels)});
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter =
        make_adapter(model.get(), setup.full ? full_params() : lora_params(3, 1.5f, setup.dropout));
    if (!setup.full) randomize(adapter.get());
    slm_context_params params = context_params(setup.micro_batch_tokens);
    params.max_sequence_tokens = setup.max_sequence_tokens;
    params.logit_rows = setup.logit_rows;
    params.compute = setup.compute;
    const ContextPtr context = make_context(model.get(), adapter.get(), params);
    Outcome out;
    const int64_t S = batch.n_sequences();
    if (setup.cuts.empty()) {
        out.losses = accumulate(context.get(), batch);
    } else {
        int64_t begin = 0;
        for (int64_t cut : setup.cuts) {
            for (double loss : accumulate(context.get(), batch.part(begin, begin + cut))) out.losses.push_back(loss);
            begin += cut;
        }
        EXPECT_EQ(begin, S);
    }
    out.gradient = block(context.get(), SLM_BLOCK_GRADIENTS).copy();
    slm_profile profile = sized<slm_profile>();
    Text spent;
    spent.check(slm_context_get_profile(context.get(), &profile, spent.data, sizeof spent.data));
    out.attention_calls = profile.calls[SLM_PHASE_ATTENTION];
    if (setup.step) {
        slm_step_params step = sized<slm_step_params>();
        step.step = 1;
        step.n_targets = 10;
        step.learning_rate = 1e-3;
        step.beta1 = 0.9;
        step.beta2 = 0.999;
        step.epsilon = 1e-8;
        step.max_grad_norm = 0.5;
        slm_step_result result = sized<slm_step_result>();
        Text text;
        text.check(slm_context_step(context.get(), &step, &result, text.data, sizeof text.data));
        out.losses.push_back(result.grad_norm);
        out.parameters = parameters(adapter.get()).copy();
    }
    return out;
}

void expect_same(const Outcome &a, const Outcome &b, const std::string &what) {
    EXPECT_EQ(a.losses, b.losses) << what;
    EXPECT_TRUE(bit_equal(a.gradient, b.gradient)) << what << ": gradients differ";
    EXPECT_TRUE(bit_equal(a.parameters, b.parameters)) << what << ": parameters differ";
}

const std::vector<int64_t> lengths = {9, 1, 14, 6, 33};

TEST(Determinism, AnyNumberOfThreads) {
    for (bool full : {false, true}) {
        for (uint32_t type : {0u, 8u}) {
            const TinyModel tiny(tiny_config(), {type, true, false, 40});
            const TinyBatch batch = tiny_batch(43, lengths);
            RunSetup setup;
            setup.full = full;
            setup.step = true;
            if (!full) setup.dropout = 0.25f;
            const Outcome one = outcome(tiny, batch, setup);
            for (int n_threads : {2, 7}) {
                setup.n_threads = n_threads;
                expect_same(one, outcome(tiny, batch, setup),
                            std::to_string(n_threads) + " threads, full " + std::to_string(full));
            }
        }
    }
}

TEST(Determinism, PackedEqualsAlone) {
    for (float dropout : {0.0f, 0.25f}) {
        const TinyModel tiny(tiny_config(), {8, true, false, 41});
        const TinyBatch batch = tiny_batch(43, lengths);
        RunSetup setup;
        setup.dropout = dropout;
        setup.step = true;
        const Outcome packed = outcome(tiny, batch, setup);
        for (const std::vector<int64_t> &cuts : std::vector<std::vector<int64_t>>{{1, 1, 1, 1, 1}, {2, 3}, {4, 1}}) {
            setup.cuts = cuts;
            expect_same(packed, outcome(tiny, batch, setup), "cut after " + std::to_string(cuts[0]));
        }
    }
}

TEST(Determinism, AnyMicroBatchAndRecomputation) {
    for (const auto &[type, extras] : {std::pair{0u, false}, {2u, false}, {0u, true}}) {
        const TinyModel tiny(tiny_config(), {type, false, false, 42, extras});
        const TinyBatch batch = tiny_batch(43, lengths);
        RunSetup setup;
        setup.dropout = 0.25f;
        const Outcome whole = outcome(tiny, batch, setup);
        setup.cuts = {1, 1, 1, 1, 1};  // at 8 tokens and fewer, the longer sequences recompute
        for (int tokens : {1, 8, 17, 33}) {
            setup.micro_batch_tokens = tokens;
            for (int logit_rows : {1, 5, 0}) {
                setup.logit_rows = logit_rows;
                expect_same(whole, outcome(tiny, batch, setup),
                            std::to_string(tokens) + " tokens, " + std::to_string(logit_rows) + " logit rows");
            }
        }
    }
}

/// A long sequence goes through a layer's second half in pieces, and keeps what its block has room for: all of it, all
/// but gate and up, attention's output, or its input alone; also some layers one of these and some the next.
TEST(Determinism, LongSequencesAndWhateverTheyKeep) {
    DecoderConfig config = tiny_config();
    config.n_layer = 5;
    const uint64_t n_layer = 5;
    const TinyBatch batch = tiny_batch(43, {700, 300, 1500, 90});
    for (const auto &[type, extras, compute] : {std::tuple{0u, false, SLM_COMPUTE_F32},
                                                {2u, true, SLM_COMPUTE_F32},
                                                {2u, true, SLM_COMPUTE_BF16},
                                                {2u, false, SLM_COMPUTE_INT8}}) {
        const TinyModel tiny(config, {type, true, false, 42, extras});
        RunSetup setup;
        setup.n_threads = 2;
        setup.max_sequence_tokens = 1500;
        setup.dropout = 0.25f;
        setup.logit_rows = 64;
        setup.compute = compute;
        setup.micro_batch_tokens = 8192;
        const Outcome whole = outcome(tiny, batch, setup);
        EXPECT_EQ(whole.attention_calls, 2 * n_layer) << "everything is kept";
        setup.cuts = {1, 1, 1, 1};
        uint64_t last = 0;
        for (int tokens : {3000, 1500, 150, 50, 1}) {
            setup.micro_batch_tokens = tokens;
            const Outcome pieces = outcome(tiny, batch, setup);
            expect_same(whole, pieces, std::to_string(tokens) + " tokens");
            EXPECT_GE(pieces.attention_calls, last) << tokens;
            last = pieces.attention_calls;
            if (tokens >= 1500) {
                EXPECT_EQ(last, 4 * 2 * n_layer) << tokens;
            }
        }
        EXPECT_GT(last, 4 * 2 * n_layer);
        EXPECT_LE(last, 4 * 2 * n_layer + n_layer) << "only the longest computes attention again";
    }
}

TEST(Determinism, FullModeSplitsStayWithinRounding) {
    for (bool extras : {false, true}) {
        const TinyModel tiny(tiny_config(), {0, true, false, 43, extras});
        const TinyBatch batch = tiny_batch(43, lengths);
        RunSetup setup;
        setup.full = true;
        const Outcome packed = outcome(tiny, batch, setup);
        setup.cuts = {1, 1, 1, 1, 1};
        const Outcome alone = outcome(tiny, batch, setup);
        EXPECT_LE(relative_error(alone.gradient, to_double(packed.gradient)), 1e-6);
        for (int tokens : {1, 8, 33}) {  // recomputation itself changes no bit
            setup.micro_batch_tokens = tokens;
            expect_same(alone, outcome(tiny, batch, setup), std::to_string(tokens) + " tokens");
        }
    }
}

TEST(Determinism, EvaluateEqualsAccumulateWithoutDropout) {
    const TinyModel tiny(tiny_config(), {8, true, false, 44});
    const TinyBatch batch = tiny_batch(43, lengths);
    const RuntimePtr runtime = make_runtime(2);
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    randomize(adapter.get());
    const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    const std::vector<double> trained = accumulate(context.get(), batch);
    const std::vector<float> gradient = block(context.get(), SLM_BLOCK_GRADIENTS).copy();
    EXPECT_EQ(trained, evaluate(context.get(), batch));
    EXPECT_TRUE(bit_equal(gradient, block(context.get(), SLM_BLOCK_GRADIENTS).copy())) << "evaluate touched gradients";
}

TEST(Determinism, BaseBytesStayAsTheyWere) {
    const TinyModel tiny(tiny_config(), {2, true, true, 45});
    std::vector<std::vector<uint8_t>> before;
    for (const TinyTensor &t : tiny.tensors) before.push_back(t.bytes);
    for (bool full : {false, true}) {
        RunSetup setup;
        setup.full = full;
        setup.step = true;
        outcome(tiny, tiny_batch(43, lengths), setup);
        for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i], tiny.tensors[i].bytes) << tiny.tensors[i].name;
    }
}

/// The same promises hold in the bf16 mode: activations are rounded one by one, sums keep their order.
TEST(DeterminismBf16, ThreadsPackingAndRecomputation) {
    for (const auto &[type, compute] :
         {std::pair{0u, SLM_COMPUTE_BF16}, {2u, SLM_COMPUTE_BF16}, {2u, SLM_COMPUTE_INT8}}) {
        const TinyModel tiny(tiny_config(), {type, true, false, 46});
        const TinyBatch batch = tiny_batch(43, lengths);
        RunSetup setup;
        setup.compute = compute;
        setup.dropout = 0.25f;
        setup.step = true;
        const Outcome one = outcome(tiny, batch, setup);
        for (int n_threads : {2, 7}) {
            setup.n_threads = n_threads;
            expect_same(one, outcome(tiny, batch, setup), std::to_string(n_threads) + " threads");
        }
        setup.n_threads = 2;
        setup.cuts = {1, 1, 1, 1, 1};
        for (int tokens : {1, 17, 64}) {
            setup.micro_batch_tokens = tokens;
            for (int logit_rows : {1, 0}) {
                setup.logit_rows = logit_rows;
                expect_same(one, outcome(tiny, batch, setup), std::to_string(tokens) + " tokens");
            }
        }
    }
}

/// And on tiles: their model, and the level's machine code where all but AMX is there; no step of it on this thread.
TEST(DeterminismBf16, TilesHoldTheSamePromises) {
    const TinyModel tiny(tiny_config(), {2u, true, false, 46});
    const TinyBatch batch = tiny_batch(43, lengths);
    slm::Kernels emulated = *available_bf16_kernels().back();
    emulated.own_threads = true;
    std::vector<const slm::Kernels *> tables = {&emulated};
#if defined(__x86_64__) && defined(__linux__)
    std::optional<TileTrap> trap;
    if (slm::cpu_offers(SLM_ISA_AVX512_BF16)) tables.push_back(&slm::kernels_of(SLM_ISA_AMX_BF16));
    if (!slm::cpu_offers(SLM_ISA_AMX_BF16)) trap.emplace();
    const int64_t before = trapped_tiles.executed;
#endif
    RunSetup setup;
    setup.compute = SLM_COMPUTE_BF16;
    setup.step = true;
    const Outcome vectors = outcome(tiny, batch, setup);
    std::vector<Outcome> first;
    for (const slm::Kernels *kernels : tables) {
        setup.kernels = kernels;
        setup.n_threads = 1;
        setup.cuts = {};
        setup.micro_batch_tokens = 64;
        const Outcome one = outcome(tiny, batch, setup);
        EXPECT_LE(relative_error(one.gradient, to_double(vectors.gradient)), 0.02) << kernels->name;
        for (int n_threads : {2, 7}) {
            setup.n_threads = n_threads;
            expect_same(one, outcome(tiny, batch, setup), kernels->name);
        }
        setup.cuts = {1, 1, 1, 1, 1};
        for (int tokens : {1, 17}) {
            setup.micro_batch_tokens = tokens;
            expect_same(one, outcome(tiny, batch, setup), std::string(kernels->name) + ", alone");
        }
        first.push_back(one);
    }
    if (first.size() == 2 && slm::select_kernels().isa == SLM_ISA_AVX512_BF16)
        expect_same(first[0], first[1], "machine code against the model");
#if defined(__x86_64__) && defined(__linux__)
    EXPECT_EQ(trapped_tiles.executed, before);
#endif
}

TEST(DeterminismBf16, StaysNearF32) {
    for (bool full : {false, true}) {
        for (uint32_t type : {0u, 8u}) {
            const TinyModel tiny(tiny_config(), {type, !full, false, 47});
            const TinyBatch batch = tiny_batch(43, lengths);
            RunSetup setup;
            setup.full = full;
            const Outcome exact = outcome(tiny, batch, setup);
            setup.compute = SLM_COMPUTE_BF16;
            const Outcome rounded = outcome(tiny, batch, setup);
            setup.compute = SLM_COMPUTE_INT8;
            if (!full && type == 8) {
                const Outcome integers = outcome(tiny, batch, setup);
                const double distance = relative_error(integers.gradient, to_double(exact.gradient));
                EXPECT_FALSE(!(distance <= 0.1)) << distance;
                EXPECT_GT(distance, 1e-5);
                EXPECT_NEAR(sum(integers.losses) / sum(exact.losses), 1, 1e-2);
            }
            // bf16 keeps 8 bits: 0.4 % a rounding, a few of them in a row. No difference at all would mean f32 ran.
            const double error = relative_error(rounded.gradient, to_double(exact.gradient));
            EXPECT_FALSE(!(error <= 0.1)) << type << " full " << full << ": " << error;
            EXPECT_GT(error, 1e-5) << type << " full " << full;
            EXPECT_NEAR(sum(rounded.losses) / sum(exact.losses), 1, 5e-3);
        }
    }
}

}  // namespace
