// What a training method may do to a model. The decoder calls these hooks at named sites; a method overrides the ones
// it uses and inherits no-ops. Adding a method: one file here and its row in method.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/profile.hpp"
#include "model/model.hpp"

namespace slm {

// A linear of a layer that a method may adapt, in the order of slm_target's bits.
enum class Linear { Q, K, V, OUTPUT, GATE, UP, DOWN };
inline constexpr int kLinears = 7;

Role role_of(Linear linear);

// Linears that read the same input: {q, k, v}, {output}, {gate, up}, {down}.
enum class Site { QKV, OUTPUT, GATE_UP, DOWN };
inline constexpr int kSites = 4;

struct SiteLinears {
    const Linear *linears;
    int count;
};
SiteLinears linears_of(Site site);

struct TrainableTensor {
    std::string name;
    int64_t columns, rows;
    int n_dims;
    bool norm_or_bias;
    int64_t offset;  // in values
    int64_t n_values() const { return columns * rows; }
};

// Everything a hook may need about the micro-batch that runs.
struct RunState {
    Sequences seqs;
    const uint64_t *sample_keys = nullptr;
    int64_t first_row = 0;        // of the only sequence, where just a piece of it is here
    bool training = false;        // dropout is on, gradients are wanted
    float *parameters = nullptr;  // the method's block
    float *gradients = nullptr;
    uint64_t dropout_seed = 0;
    Profile *profile = nullptr;  // nullptr: nobody measures
};

class Method {
 public:
    explicit Method(const Model &model) : model_(model) {}
    virtual ~Method() = default;

    const std::vector<TrainableTensor> &trainables() const { return trainables_; }
    int64_t n_values() const { return n_values_; }
    // Writes the start values of a run.
    virtual void initialize(float *parameters) const = 0;

    // The weight to compute with: the file's, or a method's own copy.
    virtual Weight weight(const float * /*parameters*/, int64_t tensor) const {
        return model_.tensor_at(tensor).weight;
    }
    // Where the gradient of a base tensor is summed; nullptr: frozen.
    virtual float *weight_gradient(float * /*gradients*/, int64_t /*tensor*/) const { return nullptr; }

    // Values kept from forward to backward at a site, and f32 scratch shared by all sites.
    virtual int64_t kept_values(Site /*site*/, int /*layer*/, int64_t /*T*/) const { return 0; }
    virtual int64_t scratch_values(int64_t /*T*/) const { return 0; }

    // Site "linear". x, dy and kept have the format of the products. Forward may add a second term to outputs[i] (one
    // per linear of the site, in its order).
    virtual void linear_forward(const RunState &, Site, int /*layer*/, ConstValues /*x*/, LinearOutput * /*outputs*/,
                                Values /*kept*/, float * /*scratch*/) const {}
    // Sums the site's gradients from dy[i]; may append terms towards dx, and returns how many there are then.
    virtual int linear_backward(const RunState &, Site, int /*layer*/, ConstValues /*x*/, const ConstValues * /*dy*/,
                                LinearGradTerm * /*terms*/, int n_terms, Values /*kept*/, float * /*scratch*/) const {
        return n_terms;
    }
    // Whether linear_backward_input has something to add; dx is f32 then.
    virtual bool adds_to_input_gradient(const RunState &) const { return false; }
    // Adds what a term cannot express to dx, after the terms were applied.
    virtual void linear_backward_input(const RunState &, Site, int /*layer*/, float * /*dx*/, Values /*kept*/,
                                       float * /*scratch*/) const {}

    // Adds the method's change of base tensor `name` to w [rows, columns].
    virtual void merge(const float *parameters, int64_t tensor, float *w) const = 0;
    // Whether anything at or below layer 0's first norm learns (else the last input gradient is not needed).
    virtual bool trains_input() const { return false; }

 protected:
    int64_t add_trainable(std::string name, int64_t columns, int64_t rows, int n_dims, bool norm_or_bias);

    const Model &model_;
    std::vector<TrainableTensor> trainables_;
    int64_t n_values_ = 0;
};

std::unique_ptr<Method> make_method(const Model &model, const slm_adapter_params &params);
std::unique_ptr<Method> make_lora(const Model &model, const slm_adapter_params &params);
std::unique_ptr<Method> make_full(const Model &model, const slm_adapter_params &params);
// The base as it is: no trainables.
std::unique_ptr<Method> make_frozen(const Model &model);

}  // namespace slm
