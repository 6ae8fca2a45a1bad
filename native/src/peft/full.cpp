// Full fine-tuning: every tensor has an f32 master that is computed with and learns.
#include <cstring>
#include <vector>

#include "peft/method.hpp"

namespace slm {

namespace {

class Full final : public Method {
 public:
    explicit Full(const Model &model)
        : Method(model), f32_(*find_quant_type(0)), offsets_(static_cast<size_t>(model.tensor_count()), -1) {
        for (int64_t i = 0; i < model.tensor_count(); ++i) {
            const ModelTensor &tensor = model.tensor_at(i);
            if (!tensor.present() || i == model.index(ROLE_ROPE_FREQS, -1)) continue;
            const bool vector = tensor.n_dims == 1;
            offsets_[static_cast<size_t>(i)] =
                add_trainable(tensor.name, tensor.weight.columns, tensor.weight.rows, tensor.n_dims, vector);
        }
    }

    void initialize(float *parameters) const override {
        for (int64_t i = 0; i < model_.tensor_count(); ++i) {
            if (offset(i) < 0) continue;
            const Weight &w = model_.tensor_at(i).weight;
            w.type->dequantize(w.data, parameters + offset(i), w.rows * w.columns);
        }
    }
    Weight weight(const float *parameters, int64_t tensor) const override {
        Weight w = model_.tensor_at(tensor).weight;
        if (offset(tensor) < 0) return w;
        w.type = &f32_;
        w.data = parameters + offset(tensor);
        return w;
    }
    float *weight_gradient(float *gradients, int64_t tensor) const override {
        return offset(tensor) < 0 ? nullptr : gradients + offset(tensor);
    }
    // forward: y = x W^T
    int linear_backward(const RunState &run, Site site, int layer, ConstValues x, const ConstValues *dy,
                        LinearGradTerm * /*terms*/, int n_terms, Values /*kept*/, float * /*scratch*/) const override {
        const SiteLinears linears = linears_of(site);
        const int64_t offsets[2] = {0, run.seqs.tokens()};
        OuterJob jobs[3];
        for (int i = 0; i < linears.count; ++i) {
            const int64_t tensor = model_.index(role_of(linears.linears[i]), layer);
            const Weight &w = model_.tensor_at(tensor).weight;
            jobs[i] = {dy[i],     w.rows, w.rows, x, w.columns, w.columns, weight_gradient(run.gradients, tensor),
                       w.columns, false};
        }
        model_.backend().outer({1, offsets}, jobs, linears.count);
        return n_terms;
    }
    void merge(const float *parameters, int64_t tensor, float *w) const override {
        if (offset(tensor) >= 0)
            std::memcpy(w, parameters + offset(tensor),
                        static_cast<size_t>(model_.tensor_at(tensor).n_values()) * sizeof(float));
    }
    bool trains_input() const override { return true; }

 private:
    int64_t offset(int64_t tensor) const { return offsets_[static_cast<size_t>(tensor)]; }

    QuantType f32_;
    std::vector<int64_t> offsets_;  // in the parameter block, by tensor index; -1: frozen
};

}  // namespace

std::unique_ptr<Method> make_full(const Model &model, const slm_adapter_params &) {
    return std::make_unique<Full>(model);
}

}  // namespace slm
