// A whole decoder in f64 from the ops of reference.hpp, forward only: gradients come from central differences of its
// loss. Weights are looked up by GGUF tensor name, so a test hands the same names to the library and to this.
#pragma once

#include <map>
#include <stdexcept>
#include <string>

#include "reference.hpp"

namespace slm_test {

struct DecoderConfig {
    int64_t n_layer = 2, n_embd = 0, n_head = 0, n_head_kv = 0, n_embd_head = 0, n_ff = 0, n_vocab = 0, n_rot = 0;
    bool neox = false, gelu = false;
    int64_t window = 0;   ///< every layer's
    int64_t pattern = 0;  ///< layer il is full where il % pattern == pattern - 1
    double epsilon = 1e-5, rope_base = 10000, rope_base_local = 0, rope_scale = 1, embedding_scale = 1;
    double attention_scale = 1, attention_cap = 0, final_cap = 0;
};

struct DecoderBatch {
    std::vector<int32_t> tokens, targets;  ///< -1: no loss
    std::vector<int64_t> offsets;          ///< [S+1]
};

class ReferenceDecoder {
 public:
    DecoderConfig config;
    std::map<std::string, std::vector<double>> tensors;  ///< "blk.0.attn_q.weight" -> values in GGUF row order
    double lora_scale = 0;
    std::map<std::string, std::vector<double>> lora;  ///< "blk.0.attn_q.weight.lora_a" [r, n_in], ".lora_b" [n_out, r]

    /// [T, n_vocab] after the final soft cap.
    std::vector<double> logits(const DecoderBatch &batch) const {
        const DecoderConfig &c = config;
        const int64_t T = int64_t(batch.tokens.size());
        std::vector<int32_t> positions;
        for (size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
            for (int64_t t = batch.offsets[s]; t < batch.offsets[s + 1]; ++t) {
                positions.push_back(int32_t(t - batch.offsets[s]));
            }
        }
        std::vector<double> x(size_t(T * c.n_embd));
        reference::embedding(T, c.n_embd, c.embedding_scale, batch.tokens.data(), at("token_embd.weight").data(),
                             x.data());
        for (int64_t il = 0; il < c.n_layer; ++il) {
            const std::string blk = "blk." + std::to_string(il) + ".";
            add(x, normed(blk + "post_attention_norm.weight", T,
                          attend(il, T, positions, batch.offsets, normed(blk + "attn_norm.weight", T, x))));
            add(x,
                normed(blk + "post_ffw_norm.weight", T, feed_forward(blk, T, normed(blk + "ffn_norm.weight", T, x))));
        }
        const bool tied = !tensors.count("output.weight");
        std::vector<double> y = linear(tied ? "token_embd.weight" : "output.weight", T, c.n_embd, c.n_vocab,
                                       normed("output_norm.weight", T, x));
        if (c.final_cap > 0) reference::softcap(int64_t(y.size()), c.final_cap, y.data(), y.data());
        return y;
    }

    /// Summed over targets, in nats.
    double loss(const DecoderBatch &batch) const {
        const std::vector<double> y = logits(batch);
        return reference::cross_entropy(int64_t(batch.tokens.size()), config.n_vocab, y.data(), batch.targets.data());
    }

 private:
    const std::vector<double> &at(const std::string &name) const {
        const auto found = tensors.find(name);
        if (found == tensors.end()) throw std::runtime_error("reference decoder: no tensor " + name);
        return found->second;
    }

    static void add(std::vector<double> &x, const std::vector<double> &y) {
        for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
    }

    /// x itself where the model has no such norm.
    std::vector<double> normed(const std::string &name, int64_t T, std::vector<double> x) const {
        if (!tensors.count(name)) return x;
        const std::vector<double> &w = at(name);
        const int64_t n = int64_t(w.size()), rows = int64_t(x.size()) / n;
        if (rows % T != 0) throw std::runtime_error("reference decoder: shape of " + name);
        std::vector<double> y(x.size());
        reference::rmsnorm(rows, n, config.epsilon, x.data(), w.data(), y.data());
        return y;
    }

    std::vector<double> linear(const std::string &name, int64_t T, int64_t n_in, int64_t n_out,
                               const std::vector<double> &x) const {
        const std::vector<double> &w = at(name);
        if (int64_t(w.size()) != n_in * n_out) throw std::runtime_error("reference decoder: shape of " + name);
        std::vector<double> y(size_t(T * n_out));
        reference::matmul(T, n_in, n_out, x.data(), w.data(), y.data());
        const std::string stem = name.substr(0, name.size() - std::string("weight").size());
        const auto bias = tensors.find(stem + "bias");
        if (bias != tensors.end()) {
            for (size_t i = 0; i < y.size(); ++i) y[i] += bias->second[i % size_t(n_out)];
        }
        const auto a = lora.find(name + ".lora_a"), b = lora.find(name + ".lora_b");
        if (a != lora.end() && b != lora.end()) {
            const double *keep = nullptr;
            reference::lora(T, n_in, n_out, int64_t(a->second.size()) / n_in, lora_scale, x.data(), keep,
                            a->second.data(), b->second.data(), y.data());
        }
        return y;
    }

    std::vector<double> attend(int64_t il, int64_t T, const std::vector<int32_t> &positions,
                               const std::vector<int64_t> &offsets, const std::vector<double> &x) const {
        const DecoderConfig &c = config;
        const std::string blk = "blk." + std::to_string(il) + ".";
        const int64_t n_q = c.n_head * c.n_embd_head, n_kv = c.n_head_kv * c.n_embd_head;
        std::vector<double> q =
            normed(blk + "attn_q_norm.weight", T, linear(blk + "attn_q.weight", T, c.n_embd, n_q, x));
        std::vector<double> k =
            normed(blk + "attn_k_norm.weight", T, linear(blk + "attn_k.weight", T, c.n_embd, n_kv, x));
        const std::vector<double> v = linear(blk + "attn_v.weight", T, c.n_embd, n_kv, x);
        const bool windowed = c.window > 0 && !(c.pattern > 0 && il % c.pattern == c.pattern - 1);
        const double base = windowed && c.rope_base_local > 0 ? c.rope_base_local : c.rope_base;
        const double scale = windowed ? 1.0 : c.rope_scale;
        const double *factors = tensors.count("rope_freqs.weight") ? at("rope_freqs.weight").data() : nullptr;
        reference::rope(T, c.n_head, c.n_embd_head, c.n_rot, c.neox, positions.data(), base, scale, factors, 1,
                        q.data());
        reference::rope(T, c.n_head_kv, c.n_embd_head, c.n_rot, c.neox, positions.data(), base, scale, factors, 1,
                        k.data());
        const reference::AttentionShape shape{
            c.n_head, c.n_head_kv, c.n_embd_head, offsets, c.attention_scale, windowed ? c.window : 0, c.attention_cap};
        std::vector<double> out(size_t(T * n_q));
        reference::attention(shape, q.data(), k.data(), v.data(), out.data());
        return linear(blk + "attn_output.weight", T, n_q, c.n_embd, out);
    }

    std::vector<double> feed_forward(const std::string &blk, int64_t T, const std::vector<double> &x) const {
        const DecoderConfig &c = config;
        const std::vector<double> gate = linear(blk + "ffn_gate.weight", T, c.n_embd, c.n_ff, x);
        const std::vector<double> up = linear(blk + "ffn_up.weight", T, c.n_embd, c.n_ff, x);
        std::vector<double> y(gate.size());
        reference::gated(int64_t(y.size()), c.gelu, gate.data(), up.data(), y.data());
        return linear(blk + "ffn_down.weight", T, c.n_ff, c.n_embd, y);
    }
};

}  // namespace slm_test
