#include "model/decoder.hpp"

#include <algorithm>
#include <cmath>

namespace slm {

namespace {

void check_cancel(const std::atomic<bool> &cancel) {
    if (cancel.load(std::memory_order_relaxed)) fail(SLM_STATUS_CANCELLED, "cancelled");
}

}  // namespace

Decoder::Decoder(const Model &model, const Method &method, int64_t max_positions, int64_t logit_rows,
                 slm_compute compute)
    : model_(model),
      method_(method),
      backend_(model.backend()),
      max_positions_(max_positions),
      logit_rows_(logit_rows),
      precision_{compute, nullptr},
      layers_(static_cast<size_t>(model.config().n_layer)) {
    const slm_model_params &c = model.config();
    make_rope(rope_global_, rope_global_memory_, static_cast<double>(c.rope_freq_base),
              static_cast<double>(c.rope_freq_scale), true);
    if (c.sliding_window > 0) {
        const double base = c.rope_freq_base_local > 0 ? static_cast<double>(c.rope_freq_base_local)
                                                       : static_cast<double>(c.rope_freq_base);
        const bool own = c.rope_freq_base_local > 0;
        make_rope(rope_local_, rope_local_memory_, base, own ? 1.0 : static_cast<double>(c.rope_freq_scale), !own);
    }
    logits_ = Buffer(static_cast<size_t>(logit_bytes()));
}

int64_t Decoder::logit_bytes() const {
    return logit_rows_ * model_.config().n_vocab * 4;
}

// theta_i = scale * position * base^(-2i/n_rot) / factor_i (Su et al. 2021; factors: rope_freqs.weight of Llama 3)
void Decoder::make_rope(RopeTable &table, Buffer &memory, double base, double scale, bool factors) {
    const slm_model_params &c = model_.config();
    const int64_t half = c.n_rot / 2;
    const ModelTensor &freqs = model_.tensor(ROLE_ROPE_FREQS);
    memory = Buffer(static_cast<size_t>(2 * max_positions_ * half) * sizeof(float));
    float *cos = memory.floats(), *sin = cos + max_positions_ * half;
    for (int64_t i = 0; i < half; ++i) {
        double frequency = scale * std::pow(base, -2.0 * static_cast<double>(i) / c.n_rot);
        if (factors && freqs.present()) frequency /= static_cast<double>(freqs.f32()[i]);
        for (int64_t position = 0; position < max_positions_; ++position) {
            const double angle = static_cast<double>(position) * frequency;
            cos[position * half + i] = static_cast<float>(std::cos(angle));
            sin[position * half + i] = static_cast<float>(std::sin(angle));
        }
    }
    table = {cos, sin, c.n_rot, static_cast<slm_rope_type>(c.rope_type)};
}

AttentionShape Decoder::attention_shape(int layer) const {
    const slm_model_params &c = model_.config();
    return {c.n_head,          c.n_head_kv,         c.n_embd_head, model_.windowed(layer) ? c.sliding_window : 0,
            c.attention_scale, c.attn_logit_softcap};
}

void Decoder::lay_out(Arena &arena, int64_t T, Keep keep, bool backward) {
    const slm_model_params &c = model_.config();
    const int64_t d = c.n_embd, n_q = static_cast<int64_t>(c.n_head) * c.n_embd_head,
                  n_kv = static_cast<int64_t>(c.n_head_kv) * c.n_embd_head, ff = c.n_ff;
    T_ = T;
    keep_ = keep;
    const bool own_residual = keep != Keep::NOTHING, own_attention = keep == Keep::ALL || keep == Keep::NO_FFN;
    for (int il = 0; il < c.n_layer; ++il) {
        Layer &layer = layers_[static_cast<size_t>(il)];
        const Layer first = layers_[0];
        // A layer takes a buffer of its own, or shares layer 0's.
        const auto take = [&](bool own, float *shared, int64_t n) {
            return own || il == 0 ? arena.take<float>(n) : shared;
        };
        layer.x = take(own_residual, first.x, T * d);
        layer.rstd_attn = take(own_attention, first.rstd_attn, T);
        layer.q = take(own_attention, first.q, T * n_q);
        layer.k = take(own_attention, first.k, T * n_kv);
        layer.v = take(own_attention, first.v, T * n_kv);
        const bool q_norm = has(ROLE_ATTN_Q_NORM, il), k_norm = has(ROLE_ATTN_K_NORM, il);
        layer.q_raw = take(own_attention, first.q_raw, q_norm ? T * n_q : 0);
        layer.k_raw = take(own_attention, first.k_raw, k_norm ? T * n_kv : 0);
        layer.rstd_q = take(own_attention, first.rstd_q, q_norm ? T * c.n_head : 0);
        layer.rstd_k = take(own_attention, first.rstd_k, k_norm ? T * c.n_head_kv : 0);
        layer.att = take(own_attention, first.att, T * n_q);
        layer.lse = take(own_attention, first.lse, T * c.n_head);
        const bool att_post = has(ROLE_ATTN_POST_NORM, il), ffn_post = has(ROLE_FFN_POST_NORM, il);
        layer.att_raw = take(own_attention, first.att_raw, att_post ? T * d : 0);
        layer.rstd_att_post = take(own_attention, first.rstd_att_post, att_post ? T : 0);
        layer.x_mid = take(own_attention, first.x_mid, T * d);
        layer.rstd_ffn = take(own_attention, first.rstd_ffn, T);
        layer.gate = take(keep == Keep::ALL, first.gate, T * ff);
        layer.up = take(keep == Keep::ALL, first.up, T * ff);
        layer.ffn_raw = take(own_attention, first.ffn_raw, ffn_post ? T * d : 0);
        layer.rstd_ffn_post = take(own_attention, first.rstd_ffn_post, ffn_post ? T : 0);
        for (int s = 0; s < kSites; ++s)
            layer.kept[s] = take(own_attention, first.kept[s], method_.kept_values(static_cast<Site>(s), il, T));
    }
    x_last_ = own_residual ? arena.take<float>(T * d) : layers_[0].x;
    Scratch &s = scratch_;
    s.h = arena.take<float>(T * d);
    s.act = arena.take<float>(T * ff);
    s.residual = arena.take<float>(T * d);
    s.attention = arena.take<char>(backend_.attention_scratch(attention_shape(0), T));
    s.method = arena.take<float>(method_.scratch_values(T));
    const int64_t widest = backward ? std::max(n_q + 2 * n_kv, 2 * ff) : std::max({d, n_q, ff});
    precision_.scratch =
        arena.take<char>(std::max(backend_.precision_scratch(precision_.compute, T, std::max(widest, d)),
                                  backend_.precision_scratch(precision_.compute, logit_rows_, d)));
    s.head_x = arena.take<float>(logit_rows_ * d);
    s.head_h = arena.take<float>(logit_rows_ * d);
    s.head_rstd = arena.take<float>(logit_rows_);
    if (!backward) return;
    s.head_dh = arena.take<float>(logit_rows_ * d);
    s.dx = arena.take<float>(T * d);
    s.dh = arena.take<float>(T * d);
    s.dact = arena.take<float>(T * ff);
    s.dq = arena.take<float>(T * n_q);
    s.dk = arena.take<float>(T * n_kv);
    s.dv = arena.take<float>(T * n_kv);
    s.datt = arena.take<float>(T * n_q);
}

void Decoder::forward(const RunState &run, const int32_t *tokens, const int32_t *positions,
                      const std::atomic<bool> &cancel) {
    const slm_model_params &c = model_.config();
    backend_.embedding(T_, tokens, weight(run, ROLE_TOKEN_EMBD), c.embedding_scale, layers_[0].x);
    for (int il = 0; il < c.n_layer; ++il) {
        check_cancel(cancel);
        attention_part(run, il, positions);
        ffn_part(run, il);
        ffn_down(run, il, il + 1 < c.n_layer ? layers_[static_cast<size_t>(il) + 1].x : x_last_);
    }
}

void Decoder::backward(const RunState &run, const int32_t *tokens, const int32_t *positions,
                       const std::atomic<bool> &cancel) {
    const slm_model_params &c = model_.config();
    for (int il = c.n_layer - 1; il >= 0; --il) {
        check_cancel(cancel);
        if (keep_ == Keep::RESIDUAL) attention_part(run, il, positions);
        if (keep_ != Keep::ALL) ffn_part(run, il);
        ffn_part_backward(run, il);
        attention_part_backward(run, il, positions);
    }
    if (float *dw = gradient(run, ROLE_TOKEN_EMBD))
        backend_.embedding_backward(T_, tokens, c.n_embd, c.embedding_scale, scratch_.dx, dw);
}

void Decoder::add_branch(const RunState &run, Role norm, int layer, const float *x, LinearOutput out, float *raw,
                         float *rstd, float *y) {
    const slm_model_params &c = model_.config();
    const int64_t n = T_ * c.n_embd;
    out.ldy = c.n_embd;
    if (x != y) backend_.copy(n, x, y);
    if (!has(norm, layer)) {
        out.y = y;
        out.add = true;
        backend_.linear(T_, &out, 1, precision_);
        return;
    }
    out.y = raw;
    backend_.linear(T_, &out, 1, precision_);
    backend_.rms_norm(T_, 1, c.n_embd, c.norm_rms_epsilon, raw, vector(run, norm, layer), scratch_.residual, rstd);
    backend_.add(n, scratch_.residual, y);
}

const float *Decoder::branch_backward(const RunState &run, Role norm, int layer, const float *raw, const float *rstd,
                                      float *work) {
    if (!has(norm, layer)) return scratch_.dx;
    const int64_t d = model_.config().n_embd;
    backend_.clear(T_ * d, work);
    norm_backward(run, norm, layer, 1, d, rstd, raw, scratch_.dx, work);
    return work;
}

void Decoder::norm_backward(const RunState &run, Role role, int layer, int64_t groups, int64_t n, const float *rstd,
                            const float *x, const float *dy, float *dx) {
    backend_.rms_norm_backward(T_, groups, n, rstd, x, vector(run, role, layer), dy, dx);
    if (float *dg = gradient(run, role, layer)) backend_.rms_norm_weight_backward(T_, groups, n, rstd, x, dy, dg);
}

void Decoder::attention_part(const RunState &run, int il, const int32_t *positions) {
    const slm_model_params &c = model_.config();
    Layer &layer = layers_[static_cast<size_t>(il)];
    const int64_t d = c.n_embd, hd = c.n_embd_head, n_q = c.n_head * hd, n_kv = c.n_head_kv * hd;
    backend_.rms_norm(T_, 1, d, c.norm_rms_epsilon, layer.x, vector(run, ROLE_ATTN_NORM, il), scratch_.h,
                      layer.rstd_attn);

    const bool q_norm = has(ROLE_ATTN_Q_NORM, il), k_norm = has(ROLE_ATTN_K_NORM, il);
    LinearOutput outs[3];
    const Role roles[3] = {ROLE_ATTN_Q, ROLE_ATTN_K, ROLE_ATTN_V};
    const Role biases[3] = {ROLE_ATTN_Q_BIAS, ROLE_ATTN_K_BIAS, ROLE_ATTN_V_BIAS};
    float *const targets[3] = {q_norm ? layer.q_raw : layer.q, k_norm ? layer.k_raw : layer.k, layer.v};
    for (int i = 0; i < 3; ++i) {
        outs[i].y = targets[i];
        outs[i].ldy = i == 0 ? n_q : n_kv;
        outs[i].terms[0] = {scratch_.h, d, weight(run, roles[i], il)};
        if (has(biases[i], il)) outs[i].bias = vector(run, biases[i], il);
    }
    method_.linear_forward(run, Site::QKV, il, scratch_.h, outs, layer.kept[0], scratch_.method);
    backend_.linear(T_, outs, 3, precision_);
    if (q_norm)
        backend_.rms_norm(T_, c.n_head, hd, c.norm_rms_epsilon, layer.q_raw, vector(run, ROLE_ATTN_Q_NORM, il), layer.q,
                          layer.rstd_q);
    if (k_norm)
        backend_.rms_norm(T_, c.n_head_kv, hd, c.norm_rms_epsilon, layer.k_raw, vector(run, ROLE_ATTN_K_NORM, il),
                          layer.k, layer.rstd_k);
    backend_.rope(T_, c.n_head, hd, positions, rope(il), 1.0f, layer.q);
    backend_.rope(T_, c.n_head_kv, hd, positions, rope(il), 1.0f, layer.k);
    backend_.attention(attention_shape(il), run.seqs, layer.q, layer.k, layer.v, layer.att, layer.lse,
                       scratch_.attention);

    LinearOutput out;
    out.terms[0] = {layer.att, n_q, weight(run, ROLE_ATTN_OUTPUT, il)};
    method_.linear_forward(run, Site::OUTPUT, il, layer.att, &out, layer.kept[1], scratch_.method);
    add_branch(run, ROLE_ATTN_POST_NORM, il, layer.x, out, layer.att_raw, layer.rstd_att_post, layer.x_mid);
}

// dx: gradient of x_mid in, of x out.
void Decoder::attention_part_backward(const RunState &run, int il, const int32_t *positions) {
    const slm_model_params &c = model_.config();
    Layer &layer = layers_[static_cast<size_t>(il)];
    Scratch &s = scratch_;
    const int64_t d = c.n_embd, hd = c.n_embd_head, n_q = c.n_head * hd, n_kv = c.n_head_kv * hd;

    const float *dout = branch_backward(run, ROLE_ATTN_POST_NORM, il, layer.att_raw, layer.rstd_att_post, s.dh);
    LinearGradTerm terms[6];
    terms[0] = {dout, d, weight(run, ROLE_ATTN_OUTPUT, il)};
    int n_terms = method_.linear_backward(run, Site::OUTPUT, il, layer.att, &dout, terms, 1, layer.kept[1], s.method);
    backend_.linear_backward(T_, terms, n_terms, s.datt, n_q, false, precision_);
    method_.linear_backward_input(run, Site::OUTPUT, il, s.datt, layer.kept[1], s.method);

    backend_.attention_backward(attention_shape(il), run.seqs, layer.q, layer.k, layer.v, layer.att, layer.lse, s.datt,
                                s.dq, s.dk, s.dv, s.attention);
    backend_.rope(T_, c.n_head, hd, positions, rope(il), -1.0f, s.dq);
    backend_.rope(T_, c.n_head_kv, hd, positions, rope(il), -1.0f, s.dk);
    // The gradient before a q/k norm goes where the rotated value was: that is not read again.
    const float *dy[3] = {s.dq, s.dk, s.dv};
    if (has(ROLE_ATTN_Q_NORM, il)) {
        backend_.clear(T_ * n_q, layer.q);
        norm_backward(run, ROLE_ATTN_Q_NORM, il, c.n_head, hd, layer.rstd_q, layer.q_raw, s.dq, layer.q);
        dy[0] = layer.q;
    }
    if (has(ROLE_ATTN_K_NORM, il)) {
        backend_.clear(T_ * n_kv, layer.k);
        norm_backward(run, ROLE_ATTN_K_NORM, il, c.n_head_kv, hd, layer.rstd_k, layer.k_raw, s.dk, layer.k);
        dy[1] = layer.k;
    }

    backend_.rms_norm(T_, 1, d, c.norm_rms_epsilon, layer.x, vector(run, ROLE_ATTN_NORM, il), s.h, layer.rstd_attn);
    const Role roles[3] = {ROLE_ATTN_Q, ROLE_ATTN_K, ROLE_ATTN_V};
    const Role biases[3] = {ROLE_ATTN_Q_BIAS, ROLE_ATTN_K_BIAS, ROLE_ATTN_V_BIAS};
    for (int i = 0; i < 3; ++i) {
        const int64_t width = i == 0 ? n_q : n_kv;
        terms[i] = {dy[i], width, weight(run, roles[i], il)};
        if (has(biases[i], il))
            if (float *db = gradient(run, biases[i], il)) backend_.bias_backward(T_, width, dy[i], db);
    }
    n_terms = method_.linear_backward(run, Site::QKV, il, s.h, dy, terms, 3, layer.kept[0], s.method);
    if (il == 0 && !method_.trains_input()) return;
    backend_.linear_backward(T_, terms, n_terms, s.dh, d, false, precision_);
    method_.linear_backward_input(run, Site::QKV, il, s.dh, layer.kept[0], s.method);
    norm_backward(run, ROLE_ATTN_NORM, il, 1, d, layer.rstd_attn, layer.x, s.dh, s.dx);
}

void Decoder::ffn_part(const RunState &run, int il) {
    const slm_model_params &c = model_.config();
    Layer &layer = layers_[static_cast<size_t>(il)];
    backend_.rms_norm(T_, 1, c.n_embd, c.norm_rms_epsilon, layer.x_mid, vector(run, ROLE_FFN_NORM, il), scratch_.h,
                      layer.rstd_ffn);
    LinearOutput outs[2];
    outs[0].y = layer.gate;
    outs[1].y = layer.up;
    outs[0].ldy = outs[1].ldy = c.n_ff;
    outs[0].terms[0] = {scratch_.h, c.n_embd, weight(run, ROLE_FFN_GATE, il)};
    outs[1].terms[0] = {scratch_.h, c.n_embd, weight(run, ROLE_FFN_UP, il)};
    method_.linear_forward(run, Site::GATE_UP, il, scratch_.h, outs, layer.kept[2], scratch_.method);
    backend_.linear(T_, outs, 2, precision_);
}

void Decoder::ffn_down(const RunState &run, int il, float *x_next) {
    const slm_model_params &c = model_.config();
    Layer &layer = layers_[static_cast<size_t>(il)];
    backend_.glu(static_cast<slm_activation>(c.activation), T_ * c.n_ff, layer.gate, layer.up, scratch_.act);
    LinearOutput out;
    out.terms[0] = {scratch_.act, c.n_ff, weight(run, ROLE_FFN_DOWN, il)};
    method_.linear_forward(run, Site::DOWN, il, scratch_.act, &out, layer.kept[3], scratch_.method);
    add_branch(run, ROLE_FFN_POST_NORM, il, layer.x_mid, out, layer.ffn_raw, layer.rstd_ffn_post, x_next);
}

// dx: gradient of the layer's output in, of x_mid out.
void Decoder::ffn_part_backward(const RunState &run, int il) {
    const slm_model_params &c = model_.config();
    Layer &layer = layers_[static_cast<size_t>(il)];
    Scratch &s = scratch_;
    const int64_t d = c.n_embd, ff = c.n_ff;
    const slm_activation activation = static_cast<slm_activation>(c.activation);
    if (keep_ == Keep::RESIDUAL && has(ROLE_FFN_POST_NORM, il)) {
        ffn_down(run, il, s.dh);  // only ffn_raw is wanted
    } else {
        backend_.glu(activation, T_ * ff, layer.gate, layer.up, s.act);
        LinearOutput ignored;
        if (keep_ == Keep::RESIDUAL)
            method_.linear_forward(run, Site::DOWN, il, s.act, &ignored, layer.kept[3], s.method);
    }

    const float *dout = branch_backward(run, ROLE_FFN_POST_NORM, il, layer.ffn_raw, layer.rstd_ffn_post, s.dh);
    LinearGradTerm terms[6];
    terms[0] = {dout, d, weight(run, ROLE_FFN_DOWN, il)};
    int n_terms = method_.linear_backward(run, Site::DOWN, il, s.act, &dout, terms, 1, layer.kept[3], s.method);
    backend_.linear_backward(T_, terms, n_terms, s.dact, ff, false, precision_);
    method_.linear_backward_input(run, Site::DOWN, il, s.dact, layer.kept[3], s.method);

    backend_.glu_backward(activation, T_ * ff, s.dact, layer.gate, layer.up);
    backend_.rms_norm(T_, 1, d, c.norm_rms_epsilon, layer.x_mid, vector(run, ROLE_FFN_NORM, il), s.h, layer.rstd_ffn);
    const float *dy[2] = {layer.gate, layer.up};
    terms[0] = {dy[0], ff, weight(run, ROLE_FFN_GATE, il)};
    terms[1] = {dy[1], ff, weight(run, ROLE_FFN_UP, il)};
    n_terms = method_.linear_backward(run, Site::GATE_UP, il, s.h, dy, terms, 2, layer.kept[2], s.method);
    backend_.linear_backward(T_, terms, n_terms, s.dh, d, false, precision_);
    method_.linear_backward_input(run, Site::GATE_UP, il, s.dh, layer.kept[2], s.method);
    norm_backward(run, ROLE_FFN_NORM, il, 1, d, layer.rstd_ffn, layer.x_mid, s.dh, s.dx);
}

// logits of n rows, before the soft cap
void Decoder::head_chunk(const RunState &run, const int64_t *rows, int64_t n, float *out) {
    const slm_model_params &c = model_.config();
    backend_.gather_rows(n, c.n_embd, rows, x_last_, scratch_.head_x);
    backend_.rms_norm(n, 1, c.n_embd, c.norm_rms_epsilon, scratch_.head_x, vector(run, ROLE_OUTPUT_NORM),
                      scratch_.head_h, scratch_.head_rstd);
    LinearOutput output;
    output.y = out;
    output.ldy = c.n_vocab;
    output.terms[0] = {scratch_.head_h, c.n_embd, weight(run, model_.tied_head() ? ROLE_TOKEN_EMBD : ROLE_OUTPUT)};
    backend_.linear(n, &output, 1, precision_);
}

// logits_ holds d loss / d logits; a tied head adds its gradient to the embedding's.
void Decoder::head_chunk_backward(const RunState &run, const int64_t *rows, int64_t n) {
    const slm_model_params &c = model_.config();
    const Role role = model_.tied_head() ? ROLE_TOKEN_EMBD : ROLE_OUTPUT;
    Scratch &s = scratch_;
    if (float *dw = gradient(run, role))
        backend_.matmul(c.n_vocab, c.n_embd, n, {logits_.floats(), 1, c.n_vocab}, {s.head_h, c.n_embd, 1}, dw, c.n_embd,
                        true);
    // Their last use: the logits may be rounded where they lie.
    const LinearGradTerm term = {logits_.floats(), c.n_vocab, weight(run, role)};
    backend_.linear_backward(n, &term, 1, s.head_dh, c.n_embd, false, {precision_.compute, logits_.data()});
    if (float *dg = gradient(run, ROLE_OUTPUT_NORM))
        backend_.rms_norm_weight_backward(n, 1, c.n_embd, s.head_rstd, s.head_x, s.head_dh, dg);
    // head_h is free now: it becomes the gradient of the gathered rows.
    backend_.clear(n * c.n_embd, s.head_h);
    backend_.rms_norm_backward(n, 1, c.n_embd, s.head_rstd, s.head_x, vector(run, ROLE_OUTPUT_NORM), s.head_dh,
                               s.head_h);
    backend_.scatter_rows(n, c.n_embd, rows, s.head_h, s.dx);
}

void Decoder::head(const RunState &run, const int32_t *targets, const std::vector<int64_t> &rows, bool gradient,
                   double *loss) {
    const slm_model_params &c = model_.config();
    if (gradient) backend_.clear(T_ * c.n_embd, scratch_.dx);
    const int64_t count = static_cast<int64_t>(rows.size());
    for (int64_t first = 0; first < count; first += logit_rows_) {
        const int64_t n = std::min(logit_rows_, count - first);
        const int64_t *chunk = rows.data() + first;
        head_chunk(run, chunk, n, logits_.floats());
        backend_.cross_entropy(n, c.n_vocab, c.final_logit_softcap, logits_.floats(), targets + first, gradient,
                               loss + first);
        if (gradient) head_chunk_backward(run, chunk, n);
    }
}

void Decoder::logits(const RunState &run, const int64_t *rows, int64_t n_rows, float *out) {
    const slm_model_params &c = model_.config();
    for (int64_t first = 0; first < n_rows; first += logit_rows_) {
        const int64_t n = std::min(logit_rows_, n_rows - first);
        head_chunk(run, rows + first, n, out + first * c.n_vocab);
        if (c.final_logit_softcap > 0) backend_.softcap(n * c.n_vocab, c.final_logit_softcap, out + first * c.n_vocab);
    }
}

}  // namespace slm
