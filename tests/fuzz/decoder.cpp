#include <algorithm>

#include "fuzz.hpp"
#include "quant/quant.hpp"

namespace slm_fuzz {

namespace {

// Every type that the library reads.
const std::vector<uint32_t> &types() {
    static const std::vector<uint32_t> known = [] {
        std::vector<uint32_t> out;
        for (uint32_t type = 0; type < 64; ++type)
            if (slm::find_quant_type(type) != nullptr) out.push_back(type);
        return out;
    }();
    return known;
}

}  // namespace

Decoder::Decoder(Input &in, bool broken) {
    slm_model_params &p = params;
    static const char *const architectures[] = {"llama", "gemma", "gemma2", "gemma3", "qwen2", "qwen3"};
    p.architecture = architectures[in.whole(0, 5)];
    p.n_layer = static_cast<int32_t>(in.whole(1, 2));
    const uint32_t type = types()[static_cast<size_t>(in.whole(0, static_cast<int64_t>(types().size()) - 1))];
    const int32_t block = std::max(32, slm::find_quant_type(type)->block_values);
    p.n_embd = p.n_ff = block;
    p.n_head_kv = static_cast<int32_t>(in.whole(1, 2));
    p.n_head = p.n_head_kv * static_cast<int32_t>(in.whole(1, 2));
    // Heads together are the row length of attn_output: whole blocks.
    p.n_embd_head = block > 32 ? block / p.n_head : static_cast<int32_t>(in.whole(1, 2)) * 32;
    p.n_vocab = static_cast<int32_t>(in.whole(1, 40));
    p.n_rot = static_cast<int32_t>(in.whole(1, p.n_embd_head / 2)) * 2;
    p.rope_type = in.flag() ? SLM_ROPE_TYPE_NEOX : SLM_ROPE_TYPE_PAIRS;
    p.activation = in.flag() ? SLM_ACTIVATION_GELU_TANH : SLM_ACTIVATION_SILU;
    p.sliding_window = static_cast<int32_t>(in.whole(0, 5));
    p.sliding_pattern = static_cast<int32_t>(in.whole(0, 3));
    p.norm_rms_epsilon = 1e-5f;
    p.rope_freq_base = 10000;
    p.rope_freq_base_local = in.flag() ? 1000.0f : 0.0f;
    p.rope_freq_scale = 1;
    p.embedding_scale = 1;
    p.attention_scale = 0.2f;
    p.attn_logit_softcap = in.flag() ? 30.0f : 0.0f;
    p.final_logit_softcap = in.flag() ? 30.0f : 0.0f;
    const bool tied = in.flag(), extras = in.flag();
    const int64_t q = int64_t(p.n_head) * p.n_embd_head, kv = int64_t(p.n_head_kv) * p.n_embd_head;
    add(in, "token_embd.weight", type, p.n_embd, p.n_vocab, broken);
    for (int layer = 0; layer < p.n_layer; ++layer) {
        const std::string blk = "blk." + std::to_string(layer) + ".";
        add(in, blk + "attn_norm.weight", 0, p.n_embd, 1, broken);
        add(in, blk + "attn_q.weight", type, p.n_embd, q, broken);
        add(in, blk + "attn_k.weight", type, p.n_embd, kv, broken);
        add(in, blk + "attn_v.weight", type, p.n_embd, kv, broken);
        add(in, blk + "attn_output.weight", type, q, p.n_embd, broken);
        add(in, blk + "ffn_norm.weight", 0, p.n_embd, 1, broken);
        add(in, blk + "ffn_gate.weight", type, p.n_embd, p.n_ff, broken);
        add(in, blk + "ffn_up.weight", type, p.n_embd, p.n_ff, broken);
        add(in, blk + "ffn_down.weight", type, p.n_ff, p.n_embd, broken);
        if (!extras) continue;
        add(in, blk + "attn_q.bias", 0, q, 1, broken);
        add(in, blk + "attn_q_norm.weight", 0, p.n_embd_head, 1, broken);
        add(in, blk + "post_attention_norm.weight", 0, p.n_embd, 1, broken);
    }
    add(in, "output_norm.weight", 0, p.n_embd, 1, broken);
    if (!tied) add(in, "output.weight", type, p.n_embd, p.n_vocab, broken);
    if (extras) add(in, "rope_freqs.weight", 0, p.n_rot / 2, 1, broken);
    if (!broken) return;
    // Any field of the parameters becomes any number.
    int32_t *const fields[] = {&p.n_layer, &p.n_embd,  &p.n_head, &p.n_head_kv,      &p.n_embd_head,
                               &p.n_ff,    &p.n_vocab, &p.n_rot,  &p.sliding_window, &p.sliding_pattern};
    float *const reals[] = {&p.norm_rms_epsilon, &p.rope_freq_base,  &p.rope_freq_base_local, &p.rope_freq_scale,
                            &p.embedding_scale,  &p.attention_scale, &p.attn_logit_softcap,   &p.final_logit_softcap};
    for (int64_t i = in.whole(0, 2); i > 0; --i) *fields[in.whole(0, 9)] = in.raw<int32_t>();
    for (int64_t i = in.whole(0, 2); i > 0; --i) *reals[in.whole(0, 7)] = in.raw<float>();
    if (in.whole(0, 7) == 0) p.rope_type = in.raw<uint32_t>();
    if (in.whole(0, 7) == 0) p.activation = in.raw<uint32_t>();
}

void Decoder::add(Input &in, const std::string &name, uint32_t type, int64_t columns, int64_t rows, bool broken) {
    const slm::QuantType *known = slm::find_quant_type(type);
    const size_t bytes = static_cast<size_t>(rows * (columns / known->block_values) * known->block_bytes);
    // A few of the input's bytes, repeated: an input is short, weights are not.
    const std::vector<uint8_t> pattern = in.bytes(static_cast<size_t>(in.whole(1, 8)));
    std::vector<uint8_t> content(bytes);
    for (size_t i = 0; i < bytes; ++i) content[i] = pattern[i % pattern.size()];
    slm_tensor tensor = sized<slm_tensor>();
    tensor.type = type;
    tensor.n_dims = rows > 1 ? 2 : 1;
    tensor.ne[0] = columns;
    tensor.ne[1] = rows;
    tensor.ne[2] = tensor.ne[3] = 1;
    tensor.n_bytes = bytes;
    std::string own = name;
    if (broken) {
        // A size that lies is never larger than the data behind it: whoever hands over a pointer answers for its bytes.
        switch (in.whole(0, 63)) {
            case 0:
                own = std::string(1 + static_cast<size_t>(in.whole(0, 200)), 'x');
                break;
            case 1:
                tensor.type = in.raw<uint32_t>();
                break;
            case 2:
                tensor.ne[in.whole(0, 3)] = in.raw<int64_t>();
                break;
            case 3:
                tensor.n_bytes = static_cast<uint64_t>(in.whole(0, static_cast<int64_t>(bytes)));
                break;
            case 4:
                tensor.n_dims = in.raw<uint32_t>();
                break;
            case 5:
                own = "blk." + std::to_string(in.raw<int32_t>()) + ".attn_q.weight";
                break;
            case 6:
                tensor.size = in.raw<uint64_t>();
                break;
            case 7:
                return;
            case 8:
                own = "blk.0." + name;
                break;
            default:
                break;
        }
    }
    data.push_back(std::move(content));
    names.push_back(own);
    tensor.data = data.back().data();
    tensors.push_back(tensor);
    // Names moved with the vector.
    for (size_t i = 0; i < tensors.size(); ++i) tensors[i].name = names[i].c_str();
}

}  // namespace slm_fuzz
