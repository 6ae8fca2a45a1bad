#include "peft/method.hpp"

namespace slm {

namespace {

constexpr Linear kQkv[] = {Linear::Q, Linear::K, Linear::V};
constexpr Linear kOutput[] = {Linear::OUTPUT};
constexpr Linear kGateUp[] = {Linear::GATE, Linear::UP};
constexpr Linear kDown[] = {Linear::DOWN};

class Frozen final : public Method {
 public:
    using Method::Method;
    void initialize(float *) const override {}
    void merge(const float *, int64_t, float *) const override {}
};

}  // namespace

Role role_of(Linear linear) {
    constexpr Role roles[kLinears] = {ROLE_ATTN_Q,   ROLE_ATTN_K, ROLE_ATTN_V,  ROLE_ATTN_OUTPUT,
                                      ROLE_FFN_GATE, ROLE_FFN_UP, ROLE_FFN_DOWN};
    return roles[static_cast<int>(linear)];
}

SiteLinears linears_of(Site site) {
    switch (site) {
        case Site::QKV:
            return {kQkv, 3};
        case Site::OUTPUT:
            return {kOutput, 1};
        case Site::GATE_UP:
            return {kGateUp, 2};
        default:
            return {kDown, 1};
    }
}

int64_t Method::add_trainable(std::string name, int64_t columns, int64_t rows, int n_dims, bool norm_or_bias) {
    if (name.size() >= SLM_MAX_NAME)
        fail(SLM_STATUS_UNSUPPORTED, "tensor name '%s' is longer than %d bytes", name.c_str(), SLM_MAX_NAME - 1);
    const int64_t offset = n_values_;
    trainables_.push_back({std::move(name), columns, rows, n_dims, norm_or_bias, offset});
    n_values_ += columns * rows;
    return offset;
}

std::unique_ptr<Method> make_frozen(const Model &model) {
    return std::make_unique<Frozen>(model);
}

std::unique_ptr<Method> make_method(const Model &model, const slm_adapter_params &params) {
    switch (params.method) {
        case SLM_METHOD_LORA:
            return make_lora(model, params);
        case SLM_METHOD_FULL:
            return make_full(model, params);
        default:
            fail(SLM_STATUS_UNSUPPORTED, "method number %u is unknown, expected %d (lora) or %d (full)", params.method,
                 SLM_METHOD_LORA, SLM_METHOD_FULL);
    }
}

}  // namespace slm
