// A decoder as data: its configuration and its weights by role. Which architecture a file is, is decided before.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/arena.hpp"
#include "core/thread_pool.hpp"
#include "cpu/cpu_backend.hpp"
#include "ops/backend.hpp"

namespace slm {

// What a tensor does. Roles of a layer come first; kRoleCount of them per layer.
enum Role {
    ROLE_ATTN_NORM,
    ROLE_ATTN_Q,
    ROLE_ATTN_K,
    ROLE_ATTN_V,
    ROLE_ATTN_Q_BIAS,
    ROLE_ATTN_K_BIAS,
    ROLE_ATTN_V_BIAS,
    ROLE_ATTN_Q_NORM,
    ROLE_ATTN_K_NORM,
    ROLE_ATTN_OUTPUT,
    ROLE_ATTN_POST_NORM,
    ROLE_FFN_NORM,
    ROLE_FFN_GATE,
    ROLE_FFN_UP,
    ROLE_FFN_DOWN,
    ROLE_FFN_POST_NORM,
    kLayerRoles,
    ROLE_TOKEN_EMBD = kLayerRoles,
    ROLE_OUTPUT_NORM,
    ROLE_OUTPUT,
    ROLE_ROPE_FREQS,
    kRoles
};

// One tensor of the file. A role that a model does not have has no data.
struct ModelTensor {
    std::string name;
    Weight weight;
    int n_dims = 0;
    uint64_t n_bytes = 0;
    bool present() const { return weight.data != nullptr; }
    const float *f32() const { return static_cast<const float *>(weight.data); }  // 1-D tensors are F32
    int64_t n_values() const { return weight.rows * weight.columns; }
};

class Runtime {
 public:
    Runtime(int n_threads, const Kernels &kernels) : pool(n_threads), backend(pool, kernels) {
        if (kernels.own_threads) entry_ = std::make_unique<ThreadPool>(1, ThreadPool::Caller::Waits);
    }
    ThreadPool pool;
    CpuBackend backend;

    // Everything that computes goes through here; the backend's calls come from the thread that body runs on. A thread
    // that once used tiles has 8 KiB more in each signal's frame for good: that of a caller could then overflow its
    // alternate signal stack (.NET gives its threads 12 KiB), so with own_threads it only waits.
    template <typename Body>
    void compute(const Body &body) {
        if (entry_)
            entry_->each(1, [&](int64_t, int) { body(); });
        else
            body();
    }

 private:
    std::unique_ptr<ThreadPool> entry_;
};

class Model {
 public:
    Model(std::shared_ptr<Runtime> runtime, const slm_model_params &params, const slm_tensor *tensors,
          int64_t n_tensors);

    const slm_model_params &config() const { return config_; }
    CpuBackend &backend() const { return runtime_->backend; }
    const std::shared_ptr<Runtime> &runtime() const { return runtime_; }

    // layer -1 for tensors outside the layers.
    const ModelTensor &tensor(Role role, int layer = -1) const {
        return tensors_[static_cast<size_t>(index(role, layer))];
    }
    int64_t tensor_count() const { return static_cast<int64_t>(tensors_.size()); }
    const ModelTensor &tensor_at(int64_t i) const { return tensors_[static_cast<size_t>(i)]; }
    int64_t index(Role role, int layer) const {
        return role < kLayerRoles ? layer * kLayerRoles + role
                                  : config_.n_layer * kLayerRoles + static_cast<int>(role) - kLayerRoles;
    }
    int64_t find(const char *name) const;  // -1: absent
    bool tied_head() const { return !tensor(ROLE_OUTPUT).present(); }
    uint64_t weight_bytes() const { return weight_bytes_; }
    bool windowed(int layer) const;

 private:
    void check_config() const;
    void bind(const slm_tensor &source);
    void check_tensor(Role role, int layer) const;

    std::shared_ptr<Runtime> runtime_;
    slm_model_params config_;
    std::string architecture_;
    std::vector<ModelTensor> tensors_;
    uint64_t weight_bytes_ = 0;
};

}  // namespace slm
