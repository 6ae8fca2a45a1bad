// Every refusal: the status, and a text that names what was wrong, what was found and what was expected.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "tiny_model.hpp"

namespace {

using namespace slm_test;

using Call = std::function<slm_status(char *, size_t)>;

/// The call fails with `want` and its text holds every given part; without a buffer and with a short one it fails
/// alike.
void expect_refusal(slm_status want, const std::vector<std::string> &parts, const Call &call) {
    char text[512];
    std::memset(text, 'x', sizeof text);
    EXPECT_EQ(call(text, sizeof text), want) << std::string(text, strnlen(text, sizeof text));
    ASSERT_LT(strnlen(text, sizeof text), sizeof text);
    EXPECT_GT(std::strlen(text), 0u);
    for (const std::string &part : parts) {
        EXPECT_NE(std::string(text).find(part), std::string::npos) << "'" << part << "' not in: " << text;
    }
    EXPECT_EQ(call(nullptr, 0), want);
    char small[8];
    std::memset(small, 'x', sizeof small);
    EXPECT_EQ(call(small, 6), want);
    EXPECT_EQ(strnlen(small, 6), 5u);
    EXPECT_EQ(small[6], 'x') << "wrote beyond the error buffer";
}

struct Errors : testing::Test {
    TinyModel tiny{tiny_config(), {8, true, false, 70}};
    RuntimePtr runtime = make_runtime(1);

    /// Creates a model after a change to params and tensors.
    Call model_call(const std::function<void(slm_model_params &, std::vector<slm_tensor> &)> &change) {
        return [this, change](char *text, size_t capacity) {
            slm_model_params params = model_params(tiny.reference.config);
            std::vector<slm_tensor> tensors = tiny.slm_tensors();
            change(params, tensors);
            slm_model *out = nullptr;
            const slm_status status =
                slm_model_create(runtime.get(), &params, tensors.data(), int64_t(tensors.size()), &out, text, capacity);
            EXPECT_TRUE(status == SLM_STATUS_OK || out == nullptr) << "a failed call returned an object";
            slm_model_free(out);
            return status;
        };
    }
    static slm_tensor &find(std::vector<slm_tensor> &tensors, const std::string &name) {
        for (slm_tensor &t : tensors) {
            if (name == t.name) return t;
        }
        throw std::runtime_error("no tensor " + name);
    }
};

TEST_F(Errors, Runtime) {
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"thread"}, [](char *text, size_t capacity) {
        slm_runtime_params params = sized<slm_runtime_params>();
        params.n_threads = -3;
        slm_runtime *out = nullptr;
        return slm_runtime_create(&params, &out, text, capacity);
    });
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"size"}, [](char *text, size_t capacity) {
        slm_runtime_params params{};
        params.size = 3;
        slm_runtime *out = nullptr;
        return slm_runtime_create(&params, &out, text, capacity);
    });
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {}, [](char *text, size_t capacity) {
        slm_runtime *out = nullptr;
        return slm_runtime_create(nullptr, &out, text, capacity);
    });
}

TEST_F(Errors, NullObjectsAreRefused) {
    slm_runtime_info info = sized<slm_runtime_info>();
    int64_t n = 0;
    uint64_t m = 0;
    float *data = nullptr;
    const slm_batch batch = tiny_batch(43, {3}).view();
    const slm_step_params step = sized<slm_step_params>();
    slm_step_result result = sized<slm_step_result>();
    const slm_adapter_params adapter = lora_params();
    const slm_context_params context = context_params();
    slm_adapter *a = nullptr;
    slm_context *c = nullptr;
    const Call calls[] = {
        [&](char *t, size_t k) { return slm_runtime_get_info(nullptr, &info, t, k); },
        [&](char *t, size_t k) { return slm_adapter_create(nullptr, &adapter, &a, t, k); },
        [&](char *t, size_t k) { return slm_adapter_get_count(nullptr, &n, &m, t, k); },
        [&](char *t, size_t k) { return slm_adapter_get_parameters(nullptr, &data, &m, t, k); },
        [&](char *t, size_t k) { return slm_context_create(nullptr, nullptr, &context, &c, t, k); },
        [&](char *t, size_t k) { return slm_context_get_block(nullptr, SLM_BLOCK_PARAMETERS, &data, &m, t, k); },
        [&](char *t, size_t k) { return slm_context_evaluate(nullptr, &batch, nullptr, nullptr, t, k); },
        [&](char *t, size_t k) {
            return slm_context_score(nullptr, &batch, nullptr, nullptr, 0, nullptr, nullptr, t, k);
        },
        [&](char *t, size_t k) { return slm_context_step(nullptr, &step, &result, t, k); },
    };
    for (const Call &call : calls) expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {}, call);
    slm_runtime_free(nullptr);
    slm_model_free(nullptr);
    slm_adapter_free(nullptr);
    slm_context_free(nullptr);
}

TEST_F(Errors, ModelParams) {
    using P = slm_model_params;
    using T = std::vector<slm_tensor>;
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"size"}, model_call([](P &p, T &) { p.size = 8; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"n_layer"}, model_call([](P &p, T &) { p.n_layer = 0; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"n_head"}, model_call([](P &p, T &) { p.n_head_kv = 3; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"n_rot"}, model_call([](P &p, T &) { p.n_rot = 99; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"epsilon"},
                   model_call([](P &p, T &) { p.norm_rms_epsilon = float(NAN); }));
}

TEST_F(Errors, ModelTensors) {
    using P = slm_model_params;
    using T = std::vector<slm_tensor>;
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"blk.1.ffn_up.weight"}, model_call([](P &, T &t) {
                       for (size_t i = 0; i < t.size(); ++i) {
                           if (std::string("blk.1.ffn_up.weight") == t[i].name) {
                               t.erase(t.begin() + int64_t(i));
                               return;
                           }
                       }
                   }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"blk.0.attn_q.weight", "31", "32"},
                   model_call([](P &, T &t) { find(t, "blk.0.attn_q.weight").ne[0] = 31; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"blk.0.attn_k.weight"},
                   model_call([](P &, T &t) { find(t, "blk.0.attn_k.weight").n_bytes -= 1; }));
    expect_refusal(SLM_STATUS_UNSUPPORTED, {"blk.0.attn_v.weight", "9"},
                   model_call([](P &, T &t) { find(t, "blk.0.attn_v.weight").type = 9; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"blk.1.attn_norm.weight"},
                   model_call([](P &, T &t) { find(t, "blk.1.attn_norm.weight").data = nullptr; }));
}

TEST_F(Errors, NonfiniteWeightEndsTheRun) {
    const float bad = NAN;
    std::memcpy(tiny.tensor("blk.1.ffn_norm.weight").bytes.data() + 8, &bad, 4);
    const ModelPtr model = tiny.create(runtime.get());
    const ContextPtr context = make_context(model.get(), nullptr, context_params(64, false));
    const TinyBatch batch = tiny_batch(43, {9});
    const slm_batch view = batch.view();
    double loss = 0;
    int64_t count = 0;
    expect_refusal(SLM_STATUS_NONFINITE, {"loss", "sequence 0"},
                   [&](char *t, size_t k) { return slm_context_evaluate(context.get(), &view, &loss, &count, t, k); });
}

TEST_F(Errors, Adapter) {
    const ModelPtr model = tiny.create(runtime.get());
    const auto with = [&](const std::function<void(slm_adapter_params &)> &change) -> Call {
        return [&model, change](char *text, size_t capacity) {
            slm_adapter_params params = lora_params();
            change(params);
            slm_adapter *out = nullptr;
            const slm_status status = slm_adapter_create(model.get(), &params, &out, text, capacity);
            slm_adapter_free(out);
            return status;
        };
    };
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"rank", "0"}, with([](slm_adapter_params &p) { p.rank = 0; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"target"}, with([](slm_adapter_params &p) { p.targets = 0; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"target"}, with([](slm_adapter_params &p) { p.targets = 1u << 20; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"dropout"}, with([](slm_adapter_params &p) { p.dropout = 1; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"dropout"},
                   with([](slm_adapter_params &p) { p.dropout = float(NAN); }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"scale"},
                   with([](slm_adapter_params &p) { p.scale = float(INFINITY); }));
    char text[256];
    slm_adapter_params params = lora_params();
    params.method = 99;
    slm_adapter *out = nullptr;
    EXPECT_NE(slm_adapter_create(model.get(), &params, &out, text, sizeof text), SLM_STATUS_OK);
    EXPECT_NE(std::string(text).find("99"), std::string::npos) << text;

    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    std::vector<float> values(32 * 64);
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"no.such.weight"}, [&](char *t, size_t k) {
        return slm_adapter_merge_weight(adapter.get(), "no.such.weight", values.data(), 32, t, k);
    });
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"blk.0.attn_q.weight", "5"}, [&](char *t, size_t k) {
        return slm_adapter_merge_weight(adapter.get(), "blk.0.attn_q.weight", values.data(), 5, t, k);
    });
    slm_trainable trainable = sized<slm_trainable>();
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"999"},
                   [&](char *t, size_t k) { return slm_adapter_get_trainable(adapter.get(), 999, &trainable, t, k); });
}

TEST_F(Errors, Context) {
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    const auto with = [&](slm_adapter *a, const std::function<void(slm_context_params &)> &change) -> Call {
        return [&model, a, change](char *text, size_t capacity) {
            slm_context_params params = context_params();
            change(params);
            slm_context *out = nullptr;
            const slm_status status = slm_context_create(model.get(), a, &params, &out, text, capacity);
            slm_context_free(out);
            return status;
        };
    };
    using P = slm_context_params;
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"micro_batch_tokens"},
                   with(adapter.get(), [](P &p) { p.micro_batch_tokens = 0; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"max_sequence_tokens"},
                   with(adapter.get(), [](P &p) { p.max_sequence_tokens = 0; }));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"adapter"}, with(nullptr, [](P &p) { p.training = 1; }));
    expect_refusal(SLM_STATUS_UNSUPPORTED, {"compute"}, with(adapter.get(), [](P &p) { p.compute = 4; }));

    const ContextPtr still = make_context(model.get(), adapter.get(), context_params(64, false));
    float *data = nullptr;
    uint64_t n = 0;
    for (slm_block which : {SLM_BLOCK_GRADIENTS, SLM_BLOCK_MOMENT1, SLM_BLOCK_MOMENT2}) {
        expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"training"},
                       [&](char *t, size_t k) { return slm_context_get_block(still.get(), which, &data, &n, t, k); });
    }
    const TinyBatch batch = tiny_batch(43, {3});
    const slm_batch view = batch.view();
    double loss = 0;
    int64_t count = 0;
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"training"},
                   [&](char *t, size_t k) { return slm_context_accumulate(still.get(), &view, &loss, &count, t, k); });

    // An adapter of another model.
    const TinyModel other_tiny(tiny_config(), {8, true, false, 71});
    const ModelPtr other = other_tiny.create(runtime.get());
    const AdapterPtr foreign = make_adapter(other.get(), lora_params());
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"adapter", "model"}, with(foreign.get(), [](P &) {}));
}

TEST_F(Errors, Batch) {
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    slm_context_params params = context_params(16);
    params.max_sequence_tokens = 16;
    const ContextPtr context = make_context(model.get(), adapter.get(), params);
    const std::vector<float> before = block(context.get(), SLM_BLOCK_GRADIENTS).copy();
    const auto with = [&](const std::vector<int64_t> &lengths, const std::function<void(TinyBatch &)> &change) -> Call {
        TinyBatch batch = tiny_batch(43, lengths);
        change(batch);
        return [&context, batch](char *text, size_t capacity) {
            const slm_batch view = batch.view();
            std::vector<double> losses(batch.keys.size() + 1);
            std::vector<int64_t> counts(batch.keys.size() + 1);
            return slm_context_accumulate(context.get(), &view, losses.data(), counts.data(), text, capacity);
        };
    };
    using B = TinyBatch;
    const slm_status bad = SLM_STATUS_INVALID_ARGUMENT;
    expect_refusal(bad, {"43", "2"}, with({5}, [](B &b) { b.decoder.tokens[2] = 43; }));
    expect_refusal(bad, {"-1", "2"}, with({5}, [](B &b) { b.decoder.tokens[2] = -1; }));
    expect_refusal(bad, {"50", "4"}, with({5}, [](B &b) { b.decoder.targets[4] = 50; }));
    expect_refusal(bad, {"-2"}, with({5}, [](B &b) { b.decoder.targets[4] = -2; }));
    expect_refusal(bad, {"sequence 0"}, with({5, 5}, [](B &b) { b.decoder.offsets[1] = 11; }));
    expect_refusal(bad, {"sequence 0"}, with({5, 5}, [](B &b) { b.decoder.offsets[1] = -2; }));
    expect_refusal(bad, {"sequence 1"}, with({5, 5, 5}, [](B &b) { b.decoder.offsets[2] = 3; }));
    expect_refusal(bad, {"offset"}, with({5, 5}, [](B &b) { b.decoder.offsets[0] = 1; }));
    expect_refusal(bad, {"offset"}, with({5, 5}, [](B &b) { b.decoder.offsets[2] = 9; }));
    expect_refusal(bad, {"17", "16"}, with({17}, [](B &) {}));
    expect_refusal(bad, {"20", "16"}, with({10, 10}, [](B &) {}));
    EXPECT_TRUE(bit_equal(before, block(context.get(), SLM_BLOCK_GRADIENTS).copy()))
        << "a refused batch left gradients";

    const TinyBatch batch = tiny_batch(43, {5});
    std::vector<float> out(43);
    for (int64_t row : {int64_t(-1), int64_t(5)}) {
        expect_refusal(bad, {"row", std::to_string(row)}, [&](char *t, size_t k) {
            const slm_batch view = batch.view();
            return slm_context_logits(context.get(), &view, &row, 1, out.data(), t, k);
        });
    }
    const auto score = [&](const std::vector<int64_t> &rows, const std::vector<int32_t> &targets) -> Call {
        return [&, rows, targets](char *t, size_t k) {
            const slm_batch view = batch.view();
            std::vector<double> logprobs(rows.size());
            std::vector<int32_t> tops(rows.size());
            return slm_context_score(context.get(), &view, rows.data(), targets.data(), int64_t(rows.size()),
                                     logprobs.data(), tops.data(), t, k);
        };
    };
    expect_refusal(bad, {"row 5", "5 tokens"}, score({0, 5}, {1, 1}));
    expect_refusal(bad, {"row 1 follows row 2", "ascend"}, score({2, 1}, {1, 1}));
    expect_refusal(bad, {"target 43", "row 4"}, score({3, 4}, {1, 43}));
    expect_refusal(bad, {"target -1"}, score({3}, {-1}));
}

TEST_F(Errors, Parents) {
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    const TinyBatch batch = tiny_batch(43, {4, 3, 2});
    const auto with = [&](std::vector<int64_t> parents, bool training) -> Call {
        return [&, parents, training](char *t, size_t k) {
            slm_batch view = batch.view();
            view.parents = parents.data();
            double losses[3];
            int64_t counts[3];
            return training ? slm_context_accumulate(context.get(), &view, losses, counts, t, k)
                            : slm_context_evaluate(context.get(), &view, losses, counts, t, k);
        };
    };
    const slm_status bad = SLM_STATUS_INVALID_ARGUMENT;
    expect_refusal(bad, {"parent 1", "sequence 1", "earlier"}, with({-1, 1, 0}, false));
    expect_refusal(bad, {"parent -2", "sequence 0"}, with({-2, -1, 0}, false));
    expect_refusal(bad, {"parent 7", "sequence 2"}, with({-1, 0, 7}, false));
    expect_refusal(bad, {"sequence 2", "parent", "backward"}, with({-1, -1, 0}, true));
    EXPECT_EQ(with({-1, 0, 1}, false)(nullptr, 0), SLM_STATUS_OK);
    EXPECT_EQ(with({-1, -1, -1}, true)(nullptr, 0), SLM_STATUS_OK);
}

TEST_F(Errors, StepRefusesNonfiniteGradientsAndKeepsAll) {
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    accumulate(context.get(), tiny_batch(43, {9}));
    const FloatSpan gradient = block(context.get(), SLM_BLOCK_GRADIENTS);
    slm_step_params params = sized<slm_step_params>();
    params.step = 1;
    params.n_targets = 6;
    params.learning_rate = 0.1;
    params.beta1 = 0.9;
    params.beta2 = 0.999;
    params.epsilon = 1e-8;
    slm_step_result result = sized<slm_step_result>();
    const Call step = [&](char *t, size_t k) { return slm_context_step(context.get(), &params, &result, t, k); };
    const std::vector<float> p = parameters(adapter.get()).copy();
    for (float poison : {float(NAN), float(INFINITY), 1e25f}) {
        const float kept = gradient.data[7];
        gradient.data[7] = poison;
        const std::vector<float> g = gradient.copy();
        expect_refusal(SLM_STATUS_NONFINITE, {"grad"}, step);
        EXPECT_TRUE(bit_equal(g, gradient.copy())) << "gradients were not kept";
        EXPECT_TRUE(bit_equal(p, parameters(adapter.get()).copy())) << "parameters moved";
        for (float x : block(context.get(), SLM_BLOCK_MOMENT1).copy()) ASSERT_EQ(x, 0.0f);
        gradient.data[7] = kept;
    }
    params.n_targets = 0;
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"0 targets"}, step);
    params.n_targets = 6;
    params.step = 0;
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"step"}, step);
    params.step = 1;
    char text[256];
    EXPECT_EQ(step(text, sizeof text), SLM_STATUS_OK) << text;
}

TEST_F(Errors, NonfiniteLossIsAStatus) {
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    parameters(adapter.get()).data[0] = float(NAN);
    randomize(adapter.get());
    parameters(adapter.get()).data[0] = float(NAN);
    const TinyBatch batch = tiny_batch(43, {9});
    const slm_batch view = batch.view();
    double loss = 0;
    int64_t count = 0;
    expect_refusal(SLM_STATUS_NONFINITE, {"loss"}, [&](char *t, size_t k) {
        return slm_context_accumulate(context.get(), &view, &loss, &count, t, k);
    });
    expect_refusal(SLM_STATUS_NONFINITE, {"loss"},
                   [&](char *t, size_t k) { return slm_context_evaluate(context.get(), &view, &loss, &count, t, k); });
}

TEST_F(Errors, CancelStopsAndClears) {
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params());
    randomize(adapter.get());
    const ContextPtr context = make_context(model.get(), adapter.get(), context_params());
    const TinyBatch batch = tiny_batch(43, {9, 3});
    const std::vector<double> want = evaluate(context.get(), batch);
    const slm_batch view = batch.view();
    std::vector<double> losses(2);
    std::vector<int64_t> counts(2);
    slm_context_cancel(context.get(), 1);
    expect_refusal(SLM_STATUS_CANCELLED, {"cancel"}, [&](char *t, size_t k) {
        return slm_context_accumulate(context.get(), &view, losses.data(), counts.data(), t, k);
    });
    expect_refusal(SLM_STATUS_CANCELLED, {"cancel"}, [&](char *t, size_t k) {
        return slm_context_evaluate(context.get(), &view, losses.data(), counts.data(), t, k);
    });
    slm_context_cancel(context.get(), 0);
    EXPECT_EQ(want, evaluate(context.get(), batch));

    // From another thread, while calls run: it ends a call or the next one, and nothing else breaks.
    std::atomic<bool> go{false};
    std::thread other([&] {
        while (!go) std::this_thread::yield();
        slm_context_cancel(context.get(), 1);
    });
    slm_status status = SLM_STATUS_OK;
    go = true;
    for (int64_t i = 0; status == SLM_STATUS_OK && i < 1000000; ++i) {
        status = slm_context_accumulate(context.get(), &view, losses.data(), counts.data(), nullptr, 0);
    }
    other.join();
    EXPECT_EQ(status, SLM_STATUS_CANCELLED);
    slm_context_cancel(context.get(), 0);
    EXPECT_EQ(want, evaluate(context.get(), batch));
}

TEST_F(Errors, Dequantize) {
    const std::vector<uint8_t> bytes(36);
    std::vector<float> out(64);
    const auto with = [&](uint32_t type, uint64_t n_bytes, int64_t n_values) -> Call {
        return [&bytes, &out, type, n_bytes, n_values](char *t, size_t k) {
            return slm_dequantize(type, bytes.data(), n_bytes, out.data(), n_values, t, k);
        };
    };
    expect_refusal(SLM_STATUS_UNSUPPORTED, {"9"}, with(9, 36, 32));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"31", "32"}, with(2, 18, 31));
    expect_refusal(SLM_STATUS_INVALID_ARGUMENT, {"64", "35", "q4_0"}, with(2, 35, 64));
    char text[256];
    EXPECT_EQ(with(2, 36, 64)(text, sizeof text), SLM_STATUS_OK) << text;
    for (float v : out) EXPECT_EQ(v, 0.0f);  // scale zero
}

}  // namespace
