// The decoder block, forward beside backward. One code path serves training, evaluation and logits: they differ in what
// they keep.
#pragma once

#include <atomic>
#include <vector>

#include "core/arena.hpp"
#include "model/model.hpp"
#include "peft/method.hpp"

namespace slm {

// What a forward keeps of a layer for its backward; the rest is computed again, with the same bits.
enum class Keep {
    ALL,       // gate and up too
    NO_FFN,    // attention and residuals
    OUTPUT,    // what attention gives, and residuals
    RESIDUAL,  // the input
    NOTHING    // no backward follows
};

// The first `more` layers keep one step more than `least`.
struct KeptLayers {
    Keep least;
    int more = 0;
    Keep of(int layer) const { return layer < more ? static_cast<Keep>(static_cast<int>(least) - 1) : least; }
};

class Decoder {
 public:
    // max_positions: rope tables reach this far.
    Decoder(const Model &model, const Method &method, int64_t max_positions, int64_t logit_rows, slm_compute compute);

    // Takes every buffer of a run over T rows; with an empty arena it measures.
    void lay_out(Arena &arena, int64_t T, KeptLayers kept, bool backward);

    // tokens[T], positions[T] and the sequences of `run`; leaves the last layer's output for head().
    void forward(const RunState &run, const int32_t *tokens, const int32_t *positions, const std::atomic<bool> &cancel);
    // Losses of the rows that have a target; with `gradient` also the gradient of the last layer's output.
    // loss[i] belongs to rows[i].
    void head(const RunState &run, const int32_t *targets, const std::vector<int64_t> &rows, bool gradient,
              double *loss);
    // logits[n_rows, n_vocab] of any rows
    void logits(const RunState &run, const int64_t *rows, int64_t n_rows, float *out);
    // What slm_context_score returns; rows ascend.
    void score(const RunState &run, const int64_t *rows, const int32_t *targets, int64_t n, double *logprobs,
               int32_t *tops);
    void backward(const RunState &run, const int32_t *tokens, const int32_t *positions,
                  const std::atomic<bool> &cancel);

 private:
    // Values of one layer, shapes in rows of T. n_q = n_head*head_dim, n_kv = n_head_kv*head_dim.
    struct Layer {
        Values x;             // [T, n_embd] input
        float *rstd_attn;     // [T]
        Values q, k, v;       // [T, n_q], [T, n_kv], [T, n_kv], after rope
        Values q_raw, k_raw;  // before q/k norms, where the model has them
        float *rstd_q, *rstd_k;
        Values att;      // [T, n_q]
        float *lse;      // [T, n_head]
        Values att_raw;  // before the post norm, where the model has one
        float *rstd_att_post;
        Values x_mid;     // [T, n_embd] after attention
        float *rstd_ffn;  // [T]
        Values gate, up;  // [T, n_ff]
        Values ffn_raw;
        float *rstd_ffn_post;
        Values kept[kSites];  // of the method
    };
    struct Scratch {
        float *x;         // [T, n_embd] the residual stream, never rounded
        Values h;         // [T, n_embd] normed input
        Values act;       // [piece, n_ff]
        float *residual;  // [T, n_embd], where post norms need it
        float *q, *k;     // before rope, where the layer's are rounded
        Values att;       // where attention is not rounded but products are
        float *dx, *dh;   // [T, n_embd]
        Values dout;      // dx or dh rounded
        float *dact;      // [piece, n_ff], f32 or rounded
        float *dq, *dk, *dv, *datt;
        Values dq_rounded, dk_rounded, dv_rounded;
        Values q8;  // the input of a product as integers
        void *attention;
        float *method;
        int64_t *offsets;                               // [piece + 1] of sequences within a piece
        float *logits;                                  // [logit_rows, n_vocab]
        float *head_x, *head_dh, *head_dx, *head_rstd;  // [logit_rows, n_embd], [logit_rows]
        Values head_h;
        int64_t *head_rows;  // [logit_rows] and so on: of the chunk that is scored
        double *head_lse;
        int32_t *head_tops;
    };

    // Rows that go through a layer's second half together, so that its wide values need not exist for all of T: whole
    // sequences, or a piece of a long one.
    struct Piece {
        RunState run;
        int64_t row, rows;
    };
    // Where a long sequence is cut no bit changes.
    static constexpr int64_t kPieceRows = kOuterDepth;
    template <typename Body>
    void each_piece(const RunState &run, const Body &body);

    void lay_out_layer(Arena &arena, int layer);
    void lay_out_scratch(Arena &arena);
    void lay_out_backward(Arena &arena);
    // What no one uses while the head runs.
    void lay_out_idle(Arena &arena, bool backward);
    // A layer's values from the piece's first row on; what is not kept begins with the piece.
    Layer ffn_rows(const Piece &at, int layer) const;

    void attention_inputs(const Piece &all, int layer, const int32_t *positions);
    void attention_scores(const Piece &all, int layer);
    void attention_output(const Piece &all, int layer, bool only_raw);
    // What was not kept of a layer's first half.
    void attention_again(const Piece &all, int layer, const int32_t *positions);
    void attention_backward(const Piece &all, int layer, const int32_t *positions);
    void ffn_inputs(const Piece &at, int layer);
    void ffn_output(const Piece &at, int layer, bool only_raw);
    void ffn_backward(const Piece &at, int layer);
    void head_chunk(const RunState &run, const int64_t *rows, int64_t n, float *out);
    void head_chunk_backward(const RunState &run, const int64_t *rows, int64_t n);
    // x itself where it has the products' format, else its rounded copy
    ConstValues operand(ConstValues x, int64_t n, Values rounded);
    // Sets the base term of each output to x, as integers where the mode and the weight have them.
    void set_inputs(int64_t rows, ConstValues x, LinearOutput *outs, int count);
    // The method's part of a site's forward: it may add terms to outs.
    void adapt(const Piece &at, Site site, int layer, ConstValues x, LinearOutput *outs, Values kept);
    // A site's backward: the method's gradients, then dx where it is wanted.
    void linear_backward(const Piece &at, Site site, int layer, ConstValues x, const ConstValues *dy, const Role *roles,
                         int count, Values kept, Values dx, bool wanted);
    // scratch x += post_norm(linear): the end of both halves of a block. only_raw: just raw and rstd.
    void add_branch(const Piece &at, Role norm, int layer, LinearOutput out, Values raw, float *rstd, bool only_raw);
    // dy of the branch from d of the residual stream
    ConstValues branch_backward(const Piece &at, Role norm, int layer, Values raw, const float *rstd);
    void norm_backward(const Piece &at, Role role, int layer, int64_t groups, int64_t n, const float *rstd,
                       ConstValues x, const float *dy, float *dx);

    int64_t width_q() const { return static_cast<int64_t>(model_.config().n_head) * model_.config().n_embd_head; }
    int64_t width_kv() const { return static_cast<int64_t>(model_.config().n_head_kv) * model_.config().n_embd_head; }
    // With rounded values the sum after attention cannot be made again from the kept input.
    bool keeps_x_mid() const { return format_ == Format::BF16; }
    static float *before_rope(Values after, float *own) { return after.rounded() ? own : after.f32(); }
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
    slm_compute compute_;
    Format format_;            // of kept activations and of the products
    Format attention_format_;  // the same, where attention can
    Buffer rope_global_memory_, rope_local_memory_;
    RopeTable rope_global_, rope_local_;
    int64_t T_ = 0;
    KeptLayers kept_{Keep::NOTHING};
    std::vector<Layer> layers_;
    Scratch scratch_{};
};

}  // namespace slm
