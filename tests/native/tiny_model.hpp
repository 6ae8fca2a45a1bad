// A small random model twice: through the C interface and as the f64 reference decoder.
#pragma once

#include <memory>
#include <stdexcept>

#include "random_blocks.hpp"
#include "reference_decoder.hpp"
#include "slimming.h"

namespace slm_test {

template <class T, void (*Free)(T *)>
struct Freer {
    void operator()(T *p) const { Free(p); }
};
using RuntimePtr = std::unique_ptr<slm_runtime, Freer<slm_runtime, slm_runtime_free>>;
using ModelPtr = std::unique_ptr<slm_model, Freer<slm_model, slm_model_free>>;
using AdapterPtr = std::unique_ptr<slm_adapter, Freer<slm_adapter, slm_adapter_free>>;
using ContextPtr = std::unique_ptr<slm_context, Freer<slm_context, slm_context_free>>;

/// Zeroed except for its size.
template <class T>
T sized() {
    T t{};
    t.size = sizeof(T);
    return t;
}

/// Throws what the library said: a test that expects success shows the text.
struct Text {
    char data[512] = {};
    void check(slm_status status) const {
        if (status != SLM_STATUS_OK) throw std::runtime_error("status " + std::to_string(status) + ": " + data);
    }
};

inline RuntimePtr make_runtime(int n_threads = 1) {
    slm_runtime_params params = sized<slm_runtime_params>();
    params.n_threads = n_threads;
    slm_runtime *out = nullptr;
    Text text;
    text.check(slm_runtime_create(&params, &out, text.data, sizeof text.data));
    return RuntimePtr(out);
}

inline slm_model_params model_params(const DecoderConfig &c, const char *architecture = "llama") {
    slm_model_params p = sized<slm_model_params>();
    p.architecture = architecture;
    p.n_layer = int32_t(c.n_layer);
    p.n_embd = int32_t(c.n_embd);
    p.n_head = int32_t(c.n_head);
    p.n_head_kv = int32_t(c.n_head_kv);
    p.n_embd_head = int32_t(c.n_embd_head);
    p.n_ff = int32_t(c.n_ff);
    p.n_vocab = int32_t(c.n_vocab);
    p.n_rot = int32_t(c.n_rot);
    p.rope_type = c.neox ? SLM_ROPE_TYPE_NEOX : SLM_ROPE_TYPE_PAIRS;
    p.activation = c.gelu ? SLM_ACTIVATION_GELU_TANH : SLM_ACTIVATION_SILU;
    p.sliding_window = int32_t(c.window);
    p.sliding_pattern = int32_t(c.pattern);
    p.norm_rms_epsilon = float(c.epsilon);
    p.rope_freq_base = float(c.rope_base);
    p.rope_freq_base_local = float(c.rope_base_local);
    p.rope_freq_scale = float(c.rope_scale);
    p.embedding_scale = float(c.embedding_scale);
    p.attention_scale = float(c.attention_scale);
    p.attn_logit_softcap = float(c.attention_cap);
    p.final_logit_softcap = float(c.final_cap);
    return p;
}

struct TinyTensor {
    std::string name;
    uint32_t type = 0;
    std::vector<int64_t> ne;
    std::vector<uint8_t> bytes;
};

struct TinyOptions {
    uint32_t type = 0;  ///< ggml_type of every 2-D weight
    bool tied = true;
    bool rope_freqs = false;
    uint64_t seed = 11;
    bool extras = false;  ///< q/k/v biases, q/k norms and post norms: what Gemma and Qwen add
};

inline DecoderConfig tiny_config() {
    DecoderConfig c;
    c.n_layer = 2;
    c.n_embd = 32;
    c.n_head = 4;
    c.n_head_kv = 2;
    c.n_embd_head = 16;  // not n_embd / n_head
    c.n_ff = 64;
    c.n_vocab = 43;
    c.n_rot = 16;
    c.rope_base = 1000;
    c.attention_scale = 0.25;
    return c;
}

/// Weights, their f64 image and what slm_model_create takes. Must outlive the models made of it.
class TinyModel {
 public:
    explicit TinyModel(const DecoderConfig &config, const TinyOptions &options = {}) : options_(options) {
        reference.config = config;
        Random random(options.seed);
        const DecoderConfig &c = config;
        matrix("token_embd.weight", c.n_embd, c.n_vocab, random);
        for (int64_t il = 0; il < c.n_layer; ++il) {
            const std::string blk = "blk." + std::to_string(il) + ".";
            norm(blk + "attn_norm.weight", c.n_embd, random);
            matrix(blk + "attn_q.weight", c.n_embd, c.n_head * c.n_embd_head, random);
            matrix(blk + "attn_k.weight", c.n_embd, c.n_head_kv * c.n_embd_head, random);
            matrix(blk + "attn_v.weight", c.n_embd, c.n_head_kv * c.n_embd_head, random);
            matrix(blk + "attn_output.weight", c.n_head * c.n_embd_head, c.n_embd, random);
            norm(blk + "ffn_norm.weight", c.n_embd, random);
            matrix(blk + "ffn_gate.weight", c.n_embd, c.n_ff, random);
            matrix(blk + "ffn_up.weight", c.n_embd, c.n_ff, random);
            matrix(blk + "ffn_down.weight", c.n_ff, c.n_embd, random);
            if (!options.extras) continue;
            plain(blk + "attn_q.bias", random.floats(c.n_head * c.n_embd_head, 0.3));
            plain(blk + "attn_k.bias", random.floats(c.n_head_kv * c.n_embd_head, 0.3));
            plain(blk + "attn_v.bias", random.floats(c.n_head_kv * c.n_embd_head, 0.3));
            norm(blk + "attn_q_norm.weight", c.n_embd_head, random);
            norm(blk + "attn_k_norm.weight", c.n_embd_head, random);
            norm(blk + "post_attention_norm.weight", c.n_embd, random);
            norm(blk + "post_ffw_norm.weight", c.n_embd, random);
        }
        norm("output_norm.weight", c.n_embd, random);
        if (!options.tied) matrix("output.weight", c.n_embd, c.n_vocab, random);
        if (options.rope_freqs) {
            std::vector<float> factors(size_t(c.n_rot / 2));
            for (float &f : factors) f = float(1.0 + 3.0 * std::fabs(random.value()));
            plain("rope_freqs.weight", factors);
        }
    }
    TinyModel(const TinyModel &) = delete;
    TinyModel &operator=(const TinyModel &) = delete;

    std::vector<slm_tensor> slm_tensors() const {
        std::vector<slm_tensor> out;
        for (const TinyTensor &t : tensors) {
            slm_tensor s = sized<slm_tensor>();
            s.name = t.name.c_str();
            s.type = t.type;
            s.n_dims = uint32_t(t.ne.size());
            for (size_t i = 0; i < 4; ++i) s.ne[i] = i < t.ne.size() ? t.ne[i] : 1;
            s.data = t.bytes.data();
            s.n_bytes = t.bytes.size();
            out.push_back(s);
        }
        return out;
    }

    ModelPtr create(slm_runtime *runtime) const {
        const slm_model_params params = model_params(reference.config);
        const std::vector<slm_tensor> views = slm_tensors();
        slm_model *out = nullptr;
        Text text;
        text.check(
            slm_model_create(runtime, &params, views.data(), int64_t(views.size()), &out, text.data, sizeof text.data));
        return ModelPtr(out);
    }

    TinyTensor &tensor(const std::string &name) {
        for (TinyTensor &t : tensors) {
            if (t.name == name) return t;
        }
        throw std::runtime_error("no tensor " + name);
    }

    void plain(const std::string &name, const std::vector<float> &values) {
        TinyTensor t{name, 0, {int64_t(values.size())}, std::vector<uint8_t>(values.size() * 4)};
        std::memcpy(t.bytes.data(), values.data(), t.bytes.size());
        keep(std::move(t));
    }

    std::vector<TinyTensor> tensors;
    ReferenceDecoder reference;

 private:
    void norm(const std::string &name, int64_t n, Random &random) {
        std::vector<float> w = random.floats(n, 0.3);
        for (float &v : w) v += 1;
        plain(name, w);
    }
    void matrix(const std::string &name, int64_t n_in, int64_t n_out, Random &random) {
        keep({name, options_.type, {n_in, n_out}, random_blocks(options_.type, n_in * n_out, random)});
    }
    void keep(TinyTensor t) {
        const std::vector<float> values = dequantized(t.type, t.bytes);
        reference.tensors[t.name].assign(values.begin(), values.end());
        tensors.push_back(std::move(t));
    }
    TinyOptions options_;
};

// ---- adapters ----

constexpr uint32_t all_targets = 127;

inline slm_adapter_params lora_params(int rank = 3, float scale = 1.5f, float dropout = 0) {
    slm_adapter_params p = sized<slm_adapter_params>();
    p.method = SLM_METHOD_LORA;
    p.targets = all_targets;
    p.rank = rank;
    p.scale = scale;
    p.dropout = dropout;
    p.seed = 5;
    return p;
}

inline slm_adapter_params full_params() {
    slm_adapter_params p = sized<slm_adapter_params>();
    p.method = SLM_METHOD_FULL;
    return p;
}

inline AdapterPtr make_adapter(slm_model *model, const slm_adapter_params &params) {
    slm_adapter *out = nullptr;
    Text text;
    text.check(slm_adapter_create(model, &params, &out, text.data, sizeof text.data));
    return AdapterPtr(out);
}

struct FloatSpan {
    float *data = nullptr;
    uint64_t n = 0;
    std::vector<float> copy() const { return {data, data + n}; }
};

inline FloatSpan parameters(slm_adapter *adapter) {
    FloatSpan s;
    Text text;
    text.check(slm_adapter_get_parameters(adapter, &s.data, &s.n, text.data, sizeof text.data));
    return s;
}

inline std::vector<slm_trainable> trainables(const slm_adapter *adapter) {
    int64_t n_tensors = 0;
    uint64_t n_values = 0;
    Text text;
    text.check(slm_adapter_get_count(adapter, &n_tensors, &n_values, text.data, sizeof text.data));
    std::vector<slm_trainable> out;
    for (int64_t i = 0; i < n_tensors; ++i) {
        out.push_back(sized<slm_trainable>());
        text.check(slm_adapter_get_trainable(adapter, i, &out.back(), text.data, sizeof text.data));
    }
    return out;
}

/// LoRA with B = 0 hides the gradient of A; these numbers hide nothing.
inline void randomize(slm_adapter *adapter, uint64_t seed = 3, double scale = 0.3) {
    Random random(seed);
    const FloatSpan p = parameters(adapter);
    for (uint64_t i = 0; i < p.n; ++i) p.data[i] = float(random.value() * scale);
}

/// The adapter's current numbers into the reference decoder.
inline void mirror(slm_adapter *adapter, bool full, float scale, ReferenceDecoder &reference) {
    const FloatSpan p = parameters(adapter);
    reference.lora_scale = scale;
    for (const slm_trainable &t : trainables(adapter)) {
        auto &target = full ? reference.tensors : reference.lora;
        target[t.name].assign(p.data + t.offset, p.data + t.offset + t.n_values);
    }
}

// ---- contexts and batches ----

inline slm_context_params context_params(int micro_batch_tokens = 64, bool training = true) {
    slm_context_params p = sized<slm_context_params>();
    p.micro_batch_tokens = micro_batch_tokens;
    p.max_sequence_tokens = 64;
    p.compute = SLM_COMPUTE_F32;
    p.training = training;
    p.logit_rows = 4;  // fewer than the rows of a batch: several chunks
    p.dropout_seed = 77;
    return p;
}

inline ContextPtr make_context(slm_model *model, slm_adapter *adapter, const slm_context_params &params) {
    slm_context *out = nullptr;
    Text text;
    text.check(slm_context_create(model, adapter, &params, &out, text.data, sizeof text.data));
    return ContextPtr(out);
}

inline FloatSpan block(slm_context *context, slm_block which) {
    FloatSpan s;
    Text text;
    text.check(slm_context_get_block(context, which, &s.data, &s.n, text.data, sizeof text.data));
    return s;
}

/// A packed batch that owns its arrays.
struct TinyBatch {
    DecoderBatch decoder;
    std::vector<uint64_t> keys;

    slm_batch view() const {
        slm_batch b = sized<slm_batch>();
        b.n_tokens = int64_t(decoder.tokens.size());
        b.n_sequences = int64_t(decoder.offsets.size()) - 1;
        b.tokens = decoder.tokens.data();
        b.offsets = decoder.offsets.data();
        b.targets = decoder.targets.data();
        b.sample_keys = keys.data();
        return b;
    }
    int64_t n_sequences() const { return int64_t(keys.size()); }
    /// Sequences [begin, end) alone.
    TinyBatch part(int64_t begin, int64_t end) const {
        TinyBatch out;
        const int64_t from = decoder.offsets[size_t(begin)], to = decoder.offsets[size_t(end)];
        out.decoder.tokens.assign(decoder.tokens.begin() + from, decoder.tokens.begin() + to);
        out.decoder.targets.assign(decoder.targets.begin() + from, decoder.targets.begin() + to);
        for (int64_t s = begin; s <= end; ++s) out.decoder.offsets.push_back(decoder.offsets[size_t(s)] - from);
        out.keys.assign(keys.begin() + begin, keys.begin() + end);
        return out;
    }
};

/// Random tokens; the first third of each sequence and every fifth position carry no loss.
inline TinyBatch tiny_batch(int64_t n_vocab, const std::vector<int64_t> &lengths, uint64_t seed = 21) {
    Random random(seed);
    TinyBatch b;
    b.decoder.offsets = {0};
    for (int64_t length : lengths) {
        for (int64_t t = 0; t < length; ++t) {
            b.decoder.tokens.push_back(int32_t(random.below(n_vocab)));
            const bool masked = (length > 1 && t < length / 3) || t % 5 == 4;
            b.decoder.targets.push_back(masked ? -1 : int32_t(random.below(n_vocab)));
        }
        b.decoder.offsets.push_back(int64_t(b.decoder.tokens.size()));
        b.keys.push_back(1000 + b.keys.size());
    }
    return b;
}

/// One loss per sequence.
inline std::vector<double> accumulate(slm_context *context, const TinyBatch &batch) {
    std::vector<double> losses(size_t(batch.n_sequences()));
    std::vector<int64_t> counts(losses.size());
    const slm_batch view = batch.view();
    Text text;
    text.check(slm_context_accumulate(context, &view, losses.data(), counts.data(), text.data, sizeof text.data));
    return losses;
}

inline std::vector<double> evaluate(slm_context *context, const TinyBatch &batch) {
    std::vector<double> losses(size_t(batch.n_sequences()));
    std::vector<int64_t> counts(losses.size());
    const slm_batch view = batch.view();
    Text text;
    text.check(slm_context_evaluate(context, &view, losses.data(), counts.data(), text.data, sizeof text.data));
    return losses;
}

/// Every row's logits, [T, n_vocab].
inline std::vector<float> logits(slm_context *context, const TinyBatch &batch, int64_t n_vocab) {
    std::vector<int64_t> rows(batch.decoder.tokens.size());
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = int64_t(i);
    std::vector<float> out(rows.size() * size_t(n_vocab));
    const slm_batch view = batch.view();
    Text text;
    text.check(
        slm_context_logits(context, &view, rows.data(), int64_t(rows.size()), out.data(), text.data, sizeof text.data));
    return out;
}

inline double sum(const std::vector<double> &v) {
    double s = 0;
    for (double x : v) s += x;
    return s;
}

}  // namespace slm_test
