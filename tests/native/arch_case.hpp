// One folder of the architecture fixtures: the model file as a reference decoder and as what the library takes.
#pragma once

#include <cmath>
#include <sstream>

#include "gguf_fixture.hpp"
#include "quant/quant.hpp"
#include "reference_decoder.hpp"

namespace slm_test {

/// Reads the few members of case.json that the tests need; the file is ours to know, not a general JSON text.
class CaseText {
 public:
    explicit CaseText(const std::filesystem::path &path) {
        std::ifstream in(path);
        if (!in) throw std::runtime_error("cannot open " + path.string());
        std::stringstream all;
        all << in.rdbuf();
        text_ = all.str();
    }
    /// Numbers of the next `"key": [..]` at or after `from`; `from` moves behind them. Empty when there is none.
    std::vector<int32_t> integers(const std::string &key, size_t &from) const {
        std::vector<int32_t> out;
        const size_t at = text_.find("\"" + key + "\": [", from);
        if (at == std::string::npos) return out;
        size_t p = text_.find('[', at);
        while (text_[p] != ']') {
            char *end;
            out.push_back(int32_t(std::strtol(text_.c_str() + p + 1, &end, 10)));
            p = text_.find_first_of(",]", size_t(end - text_.c_str()));
        }
        from = p;
        return out;
    }
    /// The number of `"key": x` inside the object named `object`.
    double number(const std::string &object, const std::string &key) const {
        const size_t at = text_.find("\"" + key + "\":", text_.find("\"" + object + "\": {"));
        if (at == std::string::npos) throw std::runtime_error("case.json has no " + object + "." + key);
        return std::strtod(text_.c_str() + at + key.size() + 3, nullptr);
    }

 private:
    std::string text_;
};

struct ArchCase {
    std::string architecture;
    std::filesystem::path folder;
    std::unique_ptr<GgufFixture> model, logits;
    ReferenceDecoder decoder;
    DecoderBatch batch;
    double loss = 0;  ///< per target
    int64_t n_targets = 0;
};

inline std::filesystem::path arch_folder(const std::string &name) {
    return shared_folder() / "fixtures" / "arch" / name;
}

inline DecoderConfig arch_config(const GgufFixture &file) {
    const std::string arch = file.strings.at("general.architecture");
    const auto key = [&](const std::string &k, double otherwise) {
        const auto found = file.numbers.find(arch + "." + k);
        return found == file.numbers.end() ? otherwise : found->second;
    };
    DecoderConfig c;
    c.n_layer = int64_t(key("block_count", 0));
    c.n_embd = int64_t(key("embedding_length", 0));
    c.n_head = int64_t(key("attention.head_count", 0));
    c.n_head_kv = int64_t(key("attention.head_count_kv", double(c.n_head)));
    c.n_embd_head = int64_t(key("attention.key_length", double(c.n_embd / c.n_head)));
    c.n_ff = int64_t(key("feed_forward_length", 0));
    c.n_vocab = file.tensors.at("token_embd.weight").ne[1];
    c.n_rot = int64_t(key("rope.dimension_count", double(c.n_embd_head)));
    c.neox = arch != "llama";
    c.epsilon = key("attention.layer_norm_rms_epsilon", 1e-5);
    c.rope_base = key("rope.freq_base", 10000);
    c.attention_scale = 1 / std::sqrt(double(c.n_embd_head));
    c.gelu = arch.rfind("gemma", 0) == 0;
    if (c.gelu) c.embedding_scale = std::sqrt(double(c.n_embd));
    c.window = int64_t(key("attention.sliding_window", 0));
    c.attention_cap = key("attn_logit_softcapping", 0);
    c.final_cap = key("final_logit_softcapping", 0);
    if (arch == "gemma2") c.pattern = 2;
    if (arch == "gemma3") {
        c.pattern = 6;
        c.rope_base_local = 10000;
        c.rope_scale = 1 / key("rope.scaling.factor", 1);
    }
    return c;
}

/// kind: "f32", "q8_0" or "q4_0".
inline ArchCase load_arch_case(const std::string &name, const std::string &kind) {
    ArchCase c;
    c.folder = arch_folder(name);
    c.model = std::make_unique<GgufFixture>(c.folder / ("model-" + kind + ".gguf"));
    c.logits = std::make_unique<GgufFixture>(c.folder / "logits.gguf");
    c.architecture = c.model->strings.at("general.architecture");
    c.decoder.config = arch_config(*c.model);
    for (const auto &[tensor_name, tensor] : c.model->tensors) {
        std::vector<float> values(size_t(tensor.n_values()));
        slm::find_quant_type(tensor.type)->dequantize(tensor.data, values.data(), tensor.n_values());
        c.decoder.tensors[tensor_name].assign(values.begin(), values.end());
    }
    const CaseText text(c.folder / "case.json");
    c.loss = text.number(kind, "loss");
    c.batch.offsets = {0};
    for (size_t from = 0;;) {
        const std::vector<int32_t> tokens = text.integers("tokens", from);
        if (tokens.empty()) break;
        const std::vector<int32_t> targets = text.integers("targets", from);
        c.batch.tokens.insert(c.batch.tokens.end(), tokens.begin(), tokens.end());
        c.batch.targets.insert(c.batch.targets.end(), targets.begin(), targets.end());
        c.batch.offsets.push_back(int64_t(c.batch.tokens.size()));
    }
    for (int32_t target : c.batch.targets) c.n_targets += target >= 0;
    return c;
}

/// The file's logits of both sequences, [T, n_vocab].
inline std::vector<double> arch_logits(const ArchCase &c, const std::string &kind) {
    std::vector<double> out;
    for (const char *seq : {".seq0", ".seq1"}) {
        const GgufFixtureTensor &tensor = c.logits->tensors.at(kind + seq);
        std::vector<float> values(size_t(tensor.n_values()));
        std::memcpy(values.data(), tensor.data, values.size() * sizeof(float));
        out.insert(out.end(), values.begin(), values.end());
    }
    return out;
}

}  // namespace slm_test
