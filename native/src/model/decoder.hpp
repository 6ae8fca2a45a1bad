// The decoder block, forward beside backward. One code path serves training, evaluation and logits: they differ in what
// they keep.
#pragma once

#include <atomic>
#include <vector>

#include "core/arena.hpp"
#include "model/model.hpp"
#include "peft/method.hpp"

namespace slm {

// What a forward keeps for its backward; the rest is computed again, with the same bits.
enum class Keep {
    ALL,       // gate and up of every layer too
    NO_FFN,    // attention and residuals
    RESIDUAL,  // the input of each layer
    NOTHING    // no backward follows
};

class Decoder {
 public:
    // max_positions: rope tables reach this far.
    Decoder(const Model &model, const Method &method, int64_t max_positions, int64_t logit_rows, slm_compute compute);

    // Takes every buffer of a run over T rows; with an empty arena it measures.
    void lay_out(Arena &arena, int64_t T, Keep keep, bool backward);
    int64_t logit_bytes() const;

    // tokens[T], positions[T] and the sequences of `run`; leaves the last layer's output for head().
    void forward(const RunState &run, const int32_t *tokens, const int32_t *positions, const std::atomic<bool> &cancel);
    // Losses of the rows that have a target; with `gradient` also the gradient of the last layer's output.
    // loss[i] belongs to rows[i].
    void head(const RunState &run, const int32_t *targets, const std::vector<int64_t> &rows, bool gradient,
              double *loss);
    // logits[n_rows, n_vocab] of any rows
    void logits(const RunState &run, const int64_t *rows, int64_t n_rows, float *out);
    void backward(const RunState &run, const int32_t *tokens, const int32_t *positions,
                  const std::atomic<bool> &cancel);

 private:
    // Values of one layer, shapes in rows of T. n_q = n_head*head_dim, n_kv = n_head_kv*head_dim.
    struct Layer {
        float *x;                                // [T, n_embd] input
        float *rstd_attn;                        // [T]
        float *q, *k, *v;                        // [T, n_q], [T, n_kv], [T, n_kv], after rope
        float *q_raw, *k_raw, *rstd_q, *rstd_k;  // before q/k norms, where the model has them
        float *att, *lse;                        // [T, n_q], [T, n_head]
        float *att_raw, *rstd_att_post;          // before the post norm, where the model has one
        float *x_mid;                            // [T, n_embd] after attention
        float *rstd_ffn;                         // [T]
        float *gate, *up;                        // [T, n_ff]
        float *ffn_raw, *rstd_ffn_post;
        float *kept[kSites];  // of the method
    };
    struct Scratch {
        float *h;         // [T, n_embd] normed input
        float *act;       // [T, n_ff]
        float *residual;  // [T, n_embd], where post norms need it
        float *dx, *dh;   // [T, n_embd]
        float *dact;      // [T, n_ff]
        float *dq, *dk, *dv, *datt;
        void *attention;
        float *method;
        float *head_x, *head_h, *head_dh, *head_rstd;  // [logit_rows, n_embd], [logit_rows]
    };

    void attention_part(const RunState &run, int layer, const int32_t *positions);
    void attention_part_backward(const RunState &run, int layer, const int32_t *positions);
    void ffn_part(const RunState &run, int layer);
    void ffn_down(const RunState &run, int layer, float *x_next);
    void ffn_part_backward(const RunState &run, int layer);
    void head_chunk(const RunState &run, const int64_t *rows, int64_t n, float *out);
    void head_chunk_backward(const RunState &run, const int64_t *rows, int64_t n);
    // y = x + post_norm(linear): the end of both halves of a block
    void add_branch(const RunState &run, Role norm, int layer, const float *x, LinearOutput out, float *raw,
                    float *rstd, float *y);
    // dy of the branch from d of the residual stream
    const float *branch_backward(const RunState &run, Role norm, int layer, const float *raw, const float *rstd,
                                 float *work);
    void norm_backward(const RunState &run, Role role, int layer, int64_t groups, int64_t n, const float *rstd,
                       const float *x, const float *dy, float *dx);

    Weight weight(const RunState &run, Role role, int layer = -1) const {
        return method_.weight(run.parameters, model_.index(role, layer));
    }
    const float *vector(const RunState &run, Role role, int layer = -1) const {
        return static_cast<const float *>(weight(run, role, layer).data);
    }
    float *gradient(const RunState &run, Role role, int layer = -1) const {
        return method_.weight_gradient(run.gradients, model_.index(role, layer));
    }
    bool has(Role role, int layer) const { return model_.tensor(role, layer).present(); }
    AttentionShape attention_shape(int layer) const;
    const RopeTable &rope(int layer) const { return model_.windowed(layer) ? rope_local_ : rope_global_; }
    void make_rope(RopeTable &table, Buffer &memory, double base, double scale, bool factors);

    const Model &model_;
    const Method &method_;
    Backend &backend_;
    int64_t max_positions_, logit_rows_;
    Precision precision_;
    Buffer rope_global_memory_, rope_local_memory_, logits_;
    RopeTable rope_global_, rope_local_;
    int64_t T_ = 0;
    Keep keep_ = Keep::NOTHING;
    std::vector<Layer> layers_;
    float *x_last_ = nullptr;
    Scratch scratch_{};
};

}  // namespace slm
