// A context runs micro-batches of one adapter on one model and applies optimizer steps.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "model/decoder.hpp"
#include "peft/method.hpp"

namespace slm {

// An adapter: a method, and the parameter block it reads. The block is made when it is first asked for, so that a plan
// neither takes its memory nor reads a weight.
class Adapter {
 public:
    Adapter(std::shared_ptr<Model> model, const slm_adapter_params &params);
    const std::shared_ptr<Model> &model() const { return model_; }
    const Method &method() const { return *method_; }
    float *parameters() const;

 private:
    std::shared_ptr<Model> model_;
    std::unique_ptr<Method> method_;
    mutable std::once_flag made_;
    mutable Buffer parameters_;
};

class Context {
 public:
    // adapter may be null when params.training is 0.
    Context(std::shared_ptr<Model> model, std::shared_ptr<Adapter> adapter, const slm_context_params &params);
    static void plan(const Model &model, const Adapter *adapter, const slm_context_params &params, slm_plan &out);

    void accumulate(const slm_batch &batch, double *losses, int64_t *n_targets);
    void evaluate(const slm_batch &batch, double *losses, int64_t *n_targets);
    void logits(const slm_batch &batch, const int64_t *rows, int64_t n_rows, float *out);
    void score(const slm_batch &batch, const int64_t *rows, const int32_t *targets, int64_t n, double *logprobs,
               int32_t *tops);
    void step(const slm_step_params &params, slm_step_result &out);
    float *block(uint32_t block) const;
    Runtime &runtime() const { return *model_->runtime(); }
    int64_t n_values() const { return method().n_values(); }
    void get_profile(slm_profile &out) const;
    void trace(slm_trace_event *events, uint64_t capacity) { profile_.trace(events, capacity); }
    void cancel(bool on) { cancel_.store(on); }

 private:
    const Method &method() const { return adapter_ ? adapter_->method() : *frozen_; }
    KeptLayers kept_for(int64_t T);
    void check_batch(const slm_batch &batch, bool training) const;
    void check_row(const slm_batch &batch, int64_t row) const;
    RunState prepare(const slm_batch &batch, bool training);
    void run_losses(const slm_batch &batch, bool training, double *losses, int64_t *n_targets);

    std::shared_ptr<Model> model_;
    std::shared_ptr<Adapter> adapter_;
    std::unique_ptr<Method> frozen_;
    slm_context_params params_;
    Decoder decoder_;
    Buffer work_, state_;  // activations; gradients and two moments
    std::vector<int32_t> positions_, row_targets_;
    std::vector<int64_t> rows_;
    std::vector<double> row_losses_;
    std::vector<uint64_t> keys_;
    Profile profile_;
    std::atomic<bool> cancel_{false};
};

}  // namespace slm
