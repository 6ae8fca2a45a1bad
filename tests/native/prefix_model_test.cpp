// Sequences that share a prefix: the same logits as whole sequences, at every instruction set, in every mode.
#include <gtest/gtest.h>

#include "backend_tools.hpp"
#include "tiny_model.hpp"

namespace {

using namespace slm_test;

/// Sequences with parents, and where each row lies in the whole sequences that they stand for.
struct Tree {
    std::vector<int64_t> parents;
    TinyBatch batch;
    TinyBatch whole;
    std::vector<int64_t> row_of_whole;

    Tree(const std::vector<int64_t> &lengths, const std::vector<int64_t> &parents, int64_t n_vocab)
        : parents(parents), batch(tiny_batch(n_vocab, lengths)) {
        whole.decoder.offsets = {0};
        for (size_t s = 0; s < parents.size(); ++s) {
            std::vector<int64_t> path;
            for (int64_t p = int64_t(s); p >= 0; p = parents[size_t(p)]) path.insert(path.begin(), p);
            for (int64_t p : path)
                for (int64_t t = batch.decoder.offsets[size_t(p)]; t < batch.decoder.offsets[size_t(p) + 1]; ++t) {
                    whole.decoder.tokens.push_back(batch.decoder.tokens[size_t(t)]);
                    whole.decoder.targets.push_back(-1);
                    row_of_whole.push_back(t);
                }
            whole.decoder.offsets.push_back(int64_t(whole.decoder.tokens.size()));
            whole.keys.push_back(whole.keys.size());
        }
    }
    slm_batch view() const {
        slm_batch b = batch.view();
        b.parents = parents.data();
        return b;
    }
};

/// A chain of three, siblings of one token and of more than a block of queries, a stranger between them.
Tree make_tree(int64_t n_vocab) {
    return Tree({21, 7, 1, 13, 5, 52, 16, 3, 64}, {-1, 0, 0, 1, -1, 0, 4, 3, 4}, n_vocab);
}

struct Variety {
    const char *name;
    TinyOptions options;
    void (*change)(DecoderConfig &);
};

const Variety varieties[] = {
    {"f32", {}, [](DecoderConfig &) {}},
    {"q4_1, grouped heads of 32", {3, false, false, 51}, [](DecoderConfig &c) { c.n_embd_head = c.n_rot = 32; }},
    {"window and caps",
     {8, true, false, 52},
     [](DecoderConfig &c) { c.window = 9, c.pattern = 2, c.attention_cap = 1.5, c.final_cap = 3; }},
    {"odd head",
     {0, true, false, 53},
     [](DecoderConfig &c) { c.n_embd_head = c.n_rot = 10, c.n_embd = 30, c.n_ff = 34; }},
    {"biases and norms", {0, true, false, 54, true}, [](DecoderConfig &c) { c.neox = true; }},
};

ContextPtr forward_context(slm_model *model, slm_adapter *adapter, slm_compute compute) {
    slm_context_params params = context_params(600, false);
    params.max_sequence_tokens = 128;
    params.compute = compute;
    return make_context(model, adapter, params);
}

std::vector<float> all_logits(slm_context *context, const slm_batch &batch, int64_t n_vocab) {
    std::vector<int64_t> rows(size_t(batch.n_tokens));
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = int64_t(i);
    std::vector<float> out(rows.size() * size_t(n_vocab));
    Text text;
    text.check(slm_context_logits(context, &batch, rows.data(), int64_t(rows.size()), out.data(), text.data,
                                  sizeof text.data));
    return out;
}

TEST(ModelPrefix, LogitsEqualThoseOfWholeSequences) {
    for (const Variety &setup : varieties) {
        DecoderConfig config = tiny_config();
        setup.change(config);
        const TinyModel tiny(config, setup.options);
        const int64_t V = config.n_vocab;
        const Tree tree = make_tree(V);
        for (const slm::Kernels *kernels : available_kernels()) {
            const IsaScope isa(kernels->name);
            std::vector<float> first;
            for (int threads : {1, 3}) {
                const RuntimePtr runtime = make_runtime(threads);
                const ModelPtr model = tiny.create(runtime.get());
                const AdapterPtr adapter = make_adapter(model.get(), lora_params());
                randomize(adapter.get());
                std::vector<float> of_threads;
                for (slm_compute compute : {SLM_COMPUTE_F32, SLM_COMPUTE_BF16, SLM_COMPUTE_INT8}) {
                    const std::string what =
                        std::string(setup.name) + ", " + kernels->name + ", mode " + std::to_string(compute);
                    const ContextPtr context = forward_context(model.get(), adapter.get(), compute);
                    const std::vector<float> got = all_logits(context.get(), tree.view(), V);
                    const std::vector<float> want = all_logits(context.get(), tree.whole.view(), V);
                    for (size_t i = 0; i < tree.row_of_whole.size(); ++i)
                        ASSERT_EQ(std::memcmp(&want[i * size_t(V)], &got[size_t(tree.row_of_whole[i] * V)],
                                              size_t(V) * sizeof(float)),
                                  0)
                            << what << ", row " << i << " of the whole sequences";
                    of_threads.insert(of_threads.end(), got.begin(), got.end());
                }
                if (first.empty()) first = of_threads;
                EXPECT_TRUE(bit_equal(first, of_threads)) << setup.name << ", " << kernels->name << ": threads";
            }
        }
    }
}

/// The reference: log softmax in f64 of the logits that slm_context_logits gives.
TEST(ModelPrefix, ScoresAreLogSoftmaxOfTheLogits) {
    for (float cap : {0.0f, 3.0f}) {
        DecoderConfig config = tiny_config();
        config.final_cap = double(cap);
        config.n_vocab = 2100;  // more than two blocks of the search for the largest
        const TinyModel tiny(config, {8, true, false, 55});
        const int64_t V = config.n_vocab;
        const Tree tree = make_tree(V);
        const RuntimePtr runtime = make_runtime(2);
        const ModelPtr model = tiny.create(runtime.get());
        const ContextPtr context = forward_context(model.get(), nullptr, SLM_COMPUTE_F32);
        const std::vector<float> logits = all_logits(context.get(), tree.view(), V);
        // Rows with one target, with none and with several, over more rows than a chunk of logits has.
        std::vector<int64_t> rows;
        std::vector<int32_t> targets;
        Random random(56);
        for (int64_t row = 0; row < tree.batch.decoder.offsets.back(); row += 1 + random.below(3))
            for (int64_t n = random.below(4); n >= 0; --n) {
                const float *from = &logits[size_t(row * V)];
                rows.push_back(row);
                targets.push_back(n == 1 ? int32_t(std::max_element(from, from + V) - from) : int32_t(random.below(V)));
            }
        std::vector<double> logprobs(rows.size(), NAN);
        std::vector<int32_t> tops(rows.size(), -1);
        const slm_batch view = tree.view();
        Text text;
        text.check(slm_context_score(context.get(), &view, rows.data(), targets.data(), int64_t(rows.size()),
                                     logprobs.data(), tops.data(), text.data, sizeof text.data));
        for (size_t i = 0; i < rows.size(); ++i) {
            const float *from = &logits[size_t(rows[i] * V)];
            const float *top = std::max_element(from, from + V);
            double mass = 0;
            for (int64_t v = 0; v < V; ++v) mass += std::exp(double(from[v]) - double(*top));
            const double want = double(from[targets[i]]) - double(*top) - std::log(mass);
            EXPECT_FALSE(!(std::fabs(logprobs[i] - want) <= 1e-6)) << i << ": " << logprobs[i] << " " << want;
            EXPECT_EQ(tops[i], int32_t(top - from)) << i;
        }
    }
}

TEST(ModelPrefix, NoTargetsAreNoWork) {
    const TinyModel tiny(tiny_config());
    const RuntimePtr runtime = make_runtime(1);
    const ModelPtr model = tiny.create(runtime.get());
    const ContextPtr context = forward_context(model.get(), nullptr, SLM_COMPUTE_F32);
    const Tree tree = make_tree(tiny.reference.config.n_vocab);
    const slm_batch view = tree.view();
    int64_t row = 0;
    int32_t id = 0;
    double logprob = 5;
    Text text;
    text.check(slm_context_score(context.get(), &view, &row, &id, 0, &logprob, &id, text.data, sizeof text.data));
    EXPECT_EQ(logprob, 5);
}

TEST(ModelPrefix, NonfiniteLogitsGiveNan) {
    TinyModel tiny(tiny_config());
    const float bad = NAN;
    std::memcpy(tiny.tensor("output_norm.weight").bytes.data() + 8, &bad, 4);
    const RuntimePtr runtime = make_runtime(1);
    const ModelPtr model = tiny.create(runtime.get());
    const ContextPtr context = forward_context(model.get(), nullptr, SLM_COMPUTE_F32);
    const TinyBatch batch = tiny_batch(tiny.reference.config.n_vocab, {4});
    const slm_batch view = batch.view();
    const int64_t row = 2;
    const int32_t target = 1;
    double logprob = 0;
    int32_t top = 0;
    Text text;
    text.check(slm_context_score(context.get(), &view, &row, &target, 1, &logprob, &top, text.data, sizeof text.data));
    EXPECT_TRUE(std::isnan(logprob)) << logprob;
}

}  // namespace
