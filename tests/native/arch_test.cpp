// The library through its C interface against transformers in f64: logits, loss and the gradient of every weight.
#include <gtest/gtest.h>

#include "arch_case.hpp"
#include "slimming.h"
#include "tiny_model.hpp"

namespace slm_test {
namespace {

constexpr const char *kArchitectures[] = {"llama",  "llama3",        "mistral", "gemma", "gemma2",
                                          "gemma3", "gemma3-linear", "qwen2",   "qwen3"};

// Handles of one model, freed children first or last: the library allows either.
struct Session {
    slm_runtime *runtime = nullptr;
    slm_model *model = nullptr;
    slm_adapter *adapter = nullptr;
    slm_context *context = nullptr;
    ~Session() {
        slm_runtime_free(runtime);
        slm_model_free(model);
        slm_adapter_free(adapter);
        slm_context_free(context);
    }
};

void open(const ArchCase &c, bool training, Session &s) {
    char error[512];
    slm_runtime_params runtime{sizeof runtime, 2, 0};
    ASSERT_EQ(slm_runtime_create(&runtime, &s.runtime, error, sizeof error), SLM_STATUS_OK) << error;
    std::vector<slm_tensor> tensors;
    for (const auto &[name, tensor] : c.model->tensors) {
        slm_tensor t{};
        t.size = sizeof t;
        t.name = name.c_str();
        t.type = tensor.type;
        t.n_dims = uint32_t(tensor.ne.size());
        for (size_t i = 0; i < 4; ++i) t.ne[i] = i < tensor.ne.size() ? tensor.ne[i] : 1;
        t.data = tensor.data;
        const slm::QuantType *type = slm::find_quant_type(tensor.type);
        t.n_bytes = uint64_t(tensor.n_values() / type->block_values * type->block_bytes);
        tensors.push_back(t);
    }
    const slm_model_params params = model_params(c.decoder.config, c.architecture.c_str());
    ASSERT_EQ(
        slm_model_create(s.runtime, &params, tensors.data(), int64_t(tensors.size()), &s.model, error, sizeof error),
        SLM_STATUS_OK)
        << error;
    slm_adapter_params adapter{};
    adapter.size = sizeof adapter;
    adapter.method = SLM_METHOD_FULL;
    if (training) {
        ASSERT_EQ(slm_adapter_create(s.model, &adapter, &s.adapter, error, sizeof error), SLM_STATUS_OK) << error;
    }
    slm_context_params context{};
    context.size = sizeof context;
    context.micro_batch_tokens = 128;
    context.max_sequence_tokens = 64;
    context.compute = SLM_COMPUTE_F32;
    context.training = training;
    ASSERT_EQ(slm_context_create(s.model, s.adapter, &context, &s.context, error, sizeof error), SLM_STATUS_OK)
        << error;
}

slm_batch batch_of(const ArchCase &c) {
    slm_batch b{};
    b.size = sizeof b;
    b.n_tokens = int64_t(c.batch.tokens.size());
    b.n_sequences = int64_t(c.batch.offsets.size()) - 1;
    b.tokens = c.batch.tokens.data();
    b.offsets = c.batch.offsets.data();
    b.targets = c.batch.targets.data();
    return b;
}

class Arch : public testing::TestWithParam<std::tuple<const char *, const char *>> {
 protected:
    void SetUp() override {
        if (!std::filesystem::exists(arch_folder(std::get<0>(GetParam()))))
            GTEST_SKIP() << "reference files not at hand: " << arch_folder(std::get<0>(GetParam()));
    }
};

TEST_P(Arch, LogitsAndLossEqualTransformers) {
    const auto [name, kind] = GetParam();
    const ArchCase c = load_arch_case(name, kind);
    Session s;
    open(c, false, s);
    if (HasFatalFailure()) return;
    const slm_batch batch = batch_of(c);
    char error[512];
    std::vector<double> losses(size_t(batch.n_sequences));
    std::vector<int64_t> counts(losses.size());
    ASSERT_EQ(slm_context_evaluate(s.context, &batch, losses.data(), counts.data(), error, sizeof error), SLM_STATUS_OK)
        << error;
    EXPECT_EQ(counts[0] + counts[1], c.n_targets);
    EXPECT_NEAR((losses[0] + losses[1]) / double(c.n_targets), c.loss, 5e-6);

    const int64_t V = c.decoder.config.n_vocab;
    std::vector<int64_t> rows;
    for (int64_t t = 0; t < batch.n_tokens; ++t) rows.push_back(t);
    std::vector<float> logits(size_t(batch.n_tokens * V));
    ASSERT_EQ(slm_context_logits(s.context, &batch, rows.data(), batch.n_tokens, logits.data(), error, sizeof error),
              SLM_STATUS_OK)
        << error;
    double worst = 0;
    for (int64_t i = 0; i < batch.n_sequences; ++i) {
        const float *want =
            reinterpret_cast<const float *>(c.logits->tensors.at(std::string(kind) + ".seq" + std::to_string(i)).data);
        const int64_t first = c.batch.offsets[size_t(i)] * V, n = c.batch.offsets[size_t(i) + 1] * V - first;
        for (int64_t j = 0; j < n; ++j) {
            const double e = std::abs(double(logits[size_t(first + j)]) - double(want[j]));
            if (!(e <= worst)) worst = e;
        }
    }
    EXPECT_TRUE(worst <= 5e-5) << "largest logit difference " << worst;
}

INSTANTIATE_TEST_SUITE_P(All, Arch,
                         testing::Combine(testing::ValuesIn(kArchitectures), testing::Values("f32", "q8_0", "q4_0")));

class ArchGradient : public testing::TestWithParam<const char *> {};

TEST_P(ArchGradient, EveryWeightGradientEqualsTransformers) {
    if (!std::filesystem::exists(arch_folder(GetParam())))
        GTEST_SKIP() << "reference files not at hand: " << arch_folder(GetParam());
    const ArchCase c = load_arch_case(GetParam(), "f32");
    const GgufFixture want(c.folder / "grads.gguf");
    Session s;
    open(c, true, s);
    if (HasFatalFailure()) return;
    const slm_batch batch = batch_of(c);
    char error[512];
    std::vector<double> losses(size_t(batch.n_sequences));
    std::vector<int64_t> counts(losses.size());
    ASSERT_EQ(slm_context_accumulate(s.context, &batch, losses.data(), counts.data(), error, sizeof error),
              SLM_STATUS_OK)
        << error;
    float *gradients = nullptr;
    ASSERT_EQ(slm_context_get_block(s.context, SLM_BLOCK_GRADIENTS, &gradients, nullptr, error, sizeof error),
              SLM_STATUS_OK)
        << error;
    int64_t n = 0;
    ASSERT_EQ(slm_adapter_get_count(s.adapter, &n, nullptr, error, sizeof error), SLM_STATUS_OK) << error;
    EXPECT_EQ(size_t(n), want.tensors.size());
    for (int64_t i = 0; i < n; ++i) {
        slm_trainable tensor{};
        tensor.size = sizeof tensor;
        ASSERT_EQ(slm_adapter_get_trainable(s.adapter, i, &tensor, error, sizeof error), SLM_STATUS_OK) << error;
        const float *expected = reinterpret_cast<const float *>(want.tensors.at(tensor.name).data);
        double largest = 0, worst = 0;
        for (uint64_t j = 0; j < tensor.n_values; ++j) {
            largest = std::max(largest, std::abs(double(expected[j])));
            const double e = std::abs(double(gradients[tensor.offset + j]) / double(c.n_targets) - double(expected[j]));
            if (!(e <= worst)) worst = e;
        }
        EXPECT_TRUE(worst <= 2e-5 * largest) << tensor.name << ": " << worst / largest;
    }
}

INSTANTIATE_TEST_SUITE_P(All, ArchGradient, testing::ValuesIn(kArchitectures));

}  // namespace
}  // namespace slm_test
