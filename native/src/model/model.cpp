#include "model/model.hpp"

#include <cstring>

namespace slm {

namespace {

// Far above any model, and low enough that products of a few of them stay within 64 bits.
constexpr int64_t kMaxSize = int64_t{1} << 24;
constexpr int kMaxLayers = 1 << 16;

struct RoleRow {
    Role role;
    const char *name;  // below "blk.N." for roles of a layer
    bool required;
};

// GGUF tensor names, the same in every decoder architecture of llama.cpp.
constexpr RoleRow kRoleNames[kRoles] = {
    {ROLE_ATTN_NORM, "attn_norm.weight", true},
    {ROLE_ATTN_Q, "attn_q.weight", true},
    {ROLE_ATTN_K, "attn_k.weight", true},
    {ROLE_ATTN_V, "attn_v.weight", true},
    {ROLE_ATTN_Q_BIAS, "attn_q.bias", false},
    {ROLE_ATTN_K_BIAS, "attn_k.bias", false},
    {ROLE_ATTN_V_BIAS, "attn_v.bias", false},
    {ROLE_ATTN_Q_NORM, "attn_q_norm.weight", false},
    {ROLE_ATTN_K_NORM, "attn_k_norm.weight", false},
    {ROLE_ATTN_OUTPUT, "attn_output.weight", true},
    {ROLE_ATTN_POST_NORM, "post_attention_norm.weight", false},
    {ROLE_FFN_NORM, "ffn_norm.weight", true},
    {ROLE_FFN_GATE, "ffn_gate.weight", true},
    {ROLE_FFN_UP, "ffn_up.weight", true},
    {ROLE_FFN_DOWN, "ffn_down.weight", true},
    {ROLE_FFN_POST_NORM, "post_ffw_norm.weight", false},
    {ROLE_TOKEN_EMBD, "token_embd.weight", true},
    {ROLE_OUTPUT_NORM, "output_norm.weight", true},
    {ROLE_OUTPUT, "output.weight", false},
    {ROLE_ROPE_FREQS, "rope_freqs.weight", false},
};

struct Shape {
    int64_t columns, rows;
};

Shape expected_shape(const slm_model_params &c, Role role) {
    const int64_t q = static_cast<int64_t>(c.n_head) * c.n_embd_head,
                  kv = static_cast<int64_t>(c.n_head_kv) * c.n_embd_head;
    switch (role) {
        case ROLE_ATTN_Q:
            return {c.n_embd, q};
        case ROLE_ATTN_K:
        case ROLE_ATTN_V:
            return {c.n_embd, kv};
        case ROLE_ATTN_Q_BIAS:
            return {q, 1};
        case ROLE_ATTN_K_BIAS:
        case ROLE_ATTN_V_BIAS:
            return {kv, 1};
        case ROLE_ATTN_Q_NORM:
        case ROLE_ATTN_K_NORM:
            return {c.n_embd_head, 1};
        case ROLE_ATTN_OUTPUT:
            return {q, c.n_embd};
        case ROLE_FFN_GATE:
        case ROLE_FFN_UP:
            return {c.n_embd, c.n_ff};
        case ROLE_FFN_DOWN:
            return {c.n_ff, c.n_embd};
        case ROLE_TOKEN_EMBD:
        case ROLE_OUTPUT:
            return {c.n_embd, c.n_vocab};
        case ROLE_ROPE_FREQS:
            return {c.n_rot / 2, 1};
        default:
            return {c.n_embd, 1};
    }
}

int64_t rows_of(const slm_tensor &tensor) {
    int64_t rows = 1;
    for (int d = 0; d < 4; ++d)
        if (tensor.ne[d] < 1 || (d > 0 && __builtin_mul_overflow(rows, tensor.ne[d], &rows)))
            fail(SLM_STATUS_INVALID_ARGUMENT, "tensor '%s' has %lld values in dimension %d", tensor.name,
                 static_cast<long long>(tensor.ne[d]), d);
    return rows;
}

}  // namespace

Model::Model(std::shared_ptr<Runtime> runtime, const slm_model_params &params, const slm_tensor *tensors,
             int64_t n_tensors)
    : runtime_(std::move(runtime)), config_(params), architecture_(params.architecture ? params.architecture : "") {
    config_.architecture = architecture_.c_str();
    check_config();
    tensors_.resize(static_cast<size_t>(config_.n_layer * kLayerRoles + kRoles - kLayerRoles));
    for (int64_t i = 0; i < n_tensors; ++i) bind(tensors[i]);
    for (int layer = 0; layer < config_.n_layer; ++layer)
        for (int role = 0; role < kLayerRoles; ++role) check_tensor(static_cast<Role>(role), layer);
    for (int role = kLayerRoles; role < kRoles; ++role) check_tensor(static_cast<Role>(role), -1);
}

void Model::check_config() const {
    const slm_model_params &c = config_;
    const struct {
        const char *name;
        int64_t value;
    } sizes[] = {
        {"n_layer", c.n_layer},         {"n_embd", c.n_embd}, {"n_head", c.n_head},   {"n_head_kv", c.n_head_kv},
        {"n_embd_head", c.n_embd_head}, {"n_ff", c.n_ff},     {"n_vocab", c.n_vocab}, {"n_rot", c.n_rot}};
    for (const auto &size : sizes)
        if (size.value < 1 || size.value > kMaxSize)
            fail(SLM_STATUS_INVALID_ARGUMENT, "%s is %lld, expected 1 to %lld", size.name,
                 static_cast<long long>(size.value), static_cast<long long>(kMaxSize));
    if (c.n_layer > kMaxLayers)
        fail(SLM_STATUS_INVALID_ARGUMENT, "n_layer is %d, expected 1 to %d", c.n_layer, kMaxLayers);
    if (c.n_head % c.n_head_kv != 0)
        fail(SLM_STATUS_INVALID_ARGUMENT, "n_head %d is no multiple of n_head_kv %d", c.n_head, c.n_head_kv);
    if (c.n_rot > c.n_embd_head || c.n_rot % 2 != 0)
        fail(SLM_STATUS_INVALID_ARGUMENT, "n_rot is %d, expected an even number up to n_embd_head %d", c.n_rot,
             c.n_embd_head);
    if (c.rope_type != SLM_ROPE_TYPE_PAIRS && c.rope_type != SLM_ROPE_TYPE_NEOX)
        fail(SLM_STATUS_UNSUPPORTED, "rope type %u is unknown, expected 0 (pairs) or 2 (NEOX)", c.rope_type);
    if (c.activation != SLM_ACTIVATION_SILU && c.activation != SLM_ACTIVATION_GELU_TANH)
        fail(SLM_STATUS_UNSUPPORTED, "activation %u is unknown, expected 0 (SiLU) or 1 (tanh GELU)", c.activation);
    if (!(c.norm_rms_epsilon > 0) || !(c.rope_freq_base > 0) || !(c.attention_scale > 0))
        fail(SLM_STATUS_INVALID_ARGUMENT, "norm epsilon %g, rope base %g and attention scale %g must be above 0",
             static_cast<double>(c.norm_rms_epsilon), static_cast<double>(c.rope_freq_base),
             static_cast<double>(c.attention_scale));
}

void Model::bind(const slm_tensor &source) {
    if (source.size != sizeof(slm_tensor) || source.name == nullptr)
        fail(SLM_STATUS_INVALID_ARGUMENT, "a tensor has size field %llu or no name, expected %zu",
             static_cast<unsigned long long>(source.size), sizeof(slm_tensor));
    const char *name = source.name;
    int layer = -1, consumed = 0;
    if (std::sscanf(name, "blk.%d.%n", &layer, &consumed) == 1 && consumed > 0) {
        if (layer < 0 || layer >= config_.n_layer)
            fail(SLM_STATUS_INVALID_ARGUMENT, "tensor '%s' lies outside the %d layers", name, config_.n_layer);
        name += consumed;
    }
    for (const RoleRow &row : kRoleNames) {
        if ((row.role < kLayerRoles) != (layer >= 0) || std::strcmp(row.name, name) != 0) continue;
        ModelTensor &slot = tensors_[static_cast<size_t>(index(row.role, layer))];
        if (slot.present()) fail(SLM_STATUS_INVALID_ARGUMENT, "tensor '%s' is given twice", source.name);
        const QuantType *type = find_quant_type(source.type);
        if (type == nullptr)
            fail(SLM_STATUS_UNSUPPORTED, "tensor '%s' has type number %u, which this build cannot read", source.name,
                 source.type);
        if (source.data == nullptr) fail(SLM_STATUS_INVALID_ARGUMENT, "tensor '%s' has no data", source.name);
        slot.name = source.name;
        slot.n_dims = static_cast<int>(source.n_dims);
        slot.n_bytes = source.n_bytes;
        slot.weight = {type, source.data, rows_of(source), source.ne[0]};
        weight_bytes_ += source.n_bytes;
        return;
    }
    fail(SLM_STATUS_UNSUPPORTED, "tensor '%s' has no place in a %s decoder of this build", source.name,
         architecture_.c_str());
}

void Model::check_tensor(Role role, int layer) const {
    const ModelTensor &tensor = this->tensor(role, layer);
    if (!tensor.present()) {
        if (kRoleNames[role].required)
            fail(SLM_STATUS_INVALID_ARGUMENT, "tensor '%s%s%s%s' is missing", layer >= 0 ? "blk." : "",
                 layer >= 0 ? std::to_string(layer).c_str() : "", layer >= 0 ? "." : "", kRoleNames[role].name);
        return;
    }
    const Shape shape = expected_shape(config_, role);
    const Weight &w = tensor.weight;
    if (w.columns != shape.columns || w.rows != shape.rows)
        fail(SLM_STATUS_INVALID_ARGUMENT, "tensor '%s' is [%lld, %lld], expected [%lld, %lld]", tensor.name.c_str(),
             static_cast<long long>(w.columns), static_cast<long long>(w.rows), static_cast<long long>(shape.columns),
             static_cast<long long>(shape.rows));
    if (!backend().supports(w))
        fail(SLM_STATUS_UNSUPPORTED, "tensor '%s' of type %s has rows of %lld values, no multiple of its block of %d",
             tensor.name.c_str(), w.type->name, static_cast<long long>(w.columns), w.type->block_values);
    const uint64_t bytes =
        static_cast<uint64_t>(w.rows) * static_cast<uint64_t>(w.columns / w.type->block_values * w.type->block_bytes);
    if (tensor.n_bytes != bytes)
        fail(SLM_STATUS_INVALID_ARGUMENT, "tensor '%s' has %llu bytes, expected %llu", tensor.name.c_str(),
             static_cast<unsigned long long>(tensor.n_bytes), static_cast<unsigned long long>(bytes));
    const bool vector = shape.rows == 1 && role != ROLE_TOKEN_EMBD && role != ROLE_OUTPUT && role != ROLE_ATTN_Q &&
                        role != ROLE_ATTN_K && role != ROLE_ATTN_V && role != ROLE_ATTN_OUTPUT &&
                        role != ROLE_FFN_GATE && role != ROLE_FFN_UP && role != ROLE_FFN_DOWN;
    if (vector && w.type->id != 0)
        fail(SLM_STATUS_UNSUPPORTED, "tensor '%s' is %s, expected f32 as llama.cpp writes 1-D tensors",
             tensor.name.c_str(), w.type->name);
}

int64_t Model::find(const char *name) const {
    for (size_t i = 0; i < tensors_.size(); ++i)
        if (tensors_[i].present() && tensors_[i].name == name) return static_cast<int64_t>(i);
    return -1;
}

bool Model::windowed(int layer) const {
    if (config_.sliding_window <= 0) return false;
    return config_.sliding_pattern <= 0 || layer % config_.sliding_pattern != config_.sliding_pattern - 1;
}

}  // namespace slm
