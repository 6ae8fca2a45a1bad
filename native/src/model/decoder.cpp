#include "model/decoder.hpp"

#include <algorithm>
#include <cmath>

namespace slm {

namespace {

constexpr Role kQkv[3] = {ROLE_ATTN_Q, ROLE_ATTN_K, ROLE_ATTN_V};
constexpr Role kGateUp[2] = {ROLE_FFN_GATE, ROLE_FFN_UP};

void check_cancel(const std::atomic<bool> &cancel) {
    if (cancel.load(std::memory_order_relaxed)) fail(SLM_STATUS_CANCELLED, "cancelled");
}

// Pairs of bf16 values lie along every width; a model of odd widths computes in f32.
Format format_of(const Model &model, slm_compute compute) {
    const slm_model_params &c = model.config();
    const bool even = c.n_embd % 2 == 0 && c.n_ff % 2 == 0 && c.n_head * c.n_embd_head % 2 == 0 &&
                      c.n_head_kv * c.n_embd_head % 2 == 0;
    // Integers serve the forward; what else there is comes in the faster of the two.
    const bool rounds = compute == SLM_COMPUTE_BF16 || (compute == SLM_COMPUTE_INT8 && model.backend().fast_bf16());
    return rounds && even ? Format::BF16 : Format::F32;
}

}  // namespace

Decoder::Decoder(const Model &model, const Method &method, int64_t max_positions, int64_t logit_rows,
                 slm_compute compute)
    : model_(model),
      method_(method),
      backend_(model.backend()),
      max_positions_(max_positions),
      logit_rows_(logit_rows),
      compute_(compute),
      format_(format_of(model, compute)),
      attention_format_(model.backend().rounds_attention(attention_shape(0)) ? format_ : Format::F32),
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

template <typename Body>
void Decoder::each_piece(const RunState &run, const Body &body) {
    const int64_t *offsets = run.seqs.offsets;
    for (int64_t s = 0, row = 0; s < run.seqs.count;) {
        Piece piece{run, row, 0};
        int64_t next = s;
        while (row == offsets[s] && next < run.seqs.count && offsets[next + 1] - row <= kPieceRows) ++next;
        const int64_t end = next > s ? offsets[next] : std::min(offsets[s + 1], row + kPieceRows);
        piece.rows = end - row;
        piece.run.sample_keys = run.sample_keys + s;
        piece.run.first_row = row - offsets[s];
        piece.run.seqs = {std::max<int64_t>(1, next - s), scratch_.offsets, nullptr};
        for (int64_t i = 0; i < piece.run.seqs.count; ++i)
            scratch_.offsets[i] = std::max<int64_t>(0, offsets[s + i] - row);
        scratch_.offsets[piece.run.seqs.count] = piece.rows;
        body(piece);
        row = end;
        while (s < run.seqs.count && offsets[s + 1] <= row) ++s;
    }
}

void Decoder::forward(const RunState &run, const int32_t *tokens, const int32_t *positions,
                      const std::atomic<bool> &cancel) {
    const PhaseScope scope(run.profile, backend_.bytes_moved(), SLM_PHASE_FORWARD);
    const slm_model_params &c = model_.config();
    backend_.embedding(T_, tokens, weight(run, ROLE_TOKEN_EMBD), c.embedding_scale, scratch_.x);
    const Piece all{run, 0, T_};
    for (int il = 0; il < c.n_layer; ++il) {
        check_cancel(cancel);
        Layer &layer = layers_[static_cast<size_t>(il)];
        backend_.copy(T_ * c.n_embd, scratch_.x, layer.x);
        attention_inputs(all, il, positions);
        attention_scores(all, il);
        attention_output(all, il, false);
        backend_.copy(T_ * c.n_embd, scratch_.x, layer.x_mid);
        each_piece(run, [&](const Piece &at) {
            ffn_inputs(at, il);
            ffn_output(at, il, false);
        });
    }
}

void Decoder::backward(const RunState &run, const int32_t *tokens, const int32_t *positions,
                       const std::atomic<bool> &cancel) {
    const PhaseScope scope(run.profile, backend_.bytes_moved(), SLM_PHASE_BACKWARD);
    const slm_model_params &c = model_.config();
    const Piece all{run, 0, T_};
    for (int il = c.n_layer - 1; il >= 0; --il) {
        check_cancel(cancel);
        const Keep keep = kept_.of(il);
        attention_again(all, il, positions);
        each_piece(run, [&](const Piece &at) {
            if (keep != Keep::ALL) ffn_inputs(at, il);
            ffn_backward(at, il);
        });
        attention_backward(all, il, positions);
    }
    if (float *dw = gradient(run, ROLE_TOKEN_EMBD))
        backend_.embedding_backward(T_, tokens, c.n_embd, c.embedding_scale, scratch_.dx, dw);
}

ConstValues Decoder::operand(ConstValues x, int64_t n, Values rounded) {
    if (x.format == format_) return x;
    backend_.copy(n, x, rounded);
    return rounded;
}

void Decoder::set_inputs(int64_t rows, ConstValues x, LinearOutput *outs, int count) {
    bool quantized = false;
    for (int i = 0; i < count; ++i) {
        LinearTerm &term = outs[i].terms[0];
        term.x = x;
        term.ldx = term.w.columns;
        if (compute_ != SLM_COMPUTE_INT8 || !backend_.multiplies_q8(term.w)) continue;
        if (!quantized) backend_.quantize(rows, term.w.columns, x, scratch_.q8);
        quantized = true;
        term.x = scratch_.q8;
        term.ldx = q8_row_bytes(term.w.columns);
    }
}

void Decoder::adapt(const Piece &at, Site site, int layer, ConstValues x, LinearOutput *outs, Values kept) {
    const PhaseScope scope(at.run.profile, backend_.bytes_moved(), SLM_PHASE_ADAPTER, layer);
    method_.linear_forward(at.run, site, layer, x, outs, kept, scratch_.method);
}

void Decoder::linear_backward(const Piece &at, Site site, int layer, ConstValues x, const ConstValues *dy,
                              const Role *roles, int count, Values kept, Values dx, bool wanted) {
    LinearGradTerm terms[6];
    for (int i = 0; i < count; ++i) {
        const Weight w = weight(at.run, roles[i], layer);
        terms[i] = {dy[i], w.rows, w};
    }
    int n_terms;
    {
        const PhaseScope scope(at.run.profile, backend_.bytes_moved(), SLM_PHASE_ADAPTER, layer);
        n_terms = method_.linear_backward(at.run, site, layer, x, dy, terms, count, kept, scratch_.method);
    }
    if (!wanted) return;
    backend_.linear_backward(at.rows, terms, n_terms, dx, terms[0].w.columns, false);
    if (!method_.adds_to_input_gradient(at.run)) return;
    const PhaseScope scope(at.run.profile, backend_.bytes_moved(), SLM_PHASE_ADAPTER, layer);
    method_.linear_backward_input(at.run, site, layer, dx.f32(), kept, scratch_.method);
}

void Decoder::add_branch(const Piece &at, Role norm, int layer, LinearOutput out, Values raw, float *rstd,
                         bool only_raw) {
    const slm_model_params &c = model_.config();
    const bool normed = has(norm, layer);
    if (only_raw && !normed) return;
    float *const x = scratch_.x + at.row * c.n_embd;
    out.ldy = c.n_embd;
    out.y = normed ? raw : Values(x);
    out.add = !normed;
    backend_.linear(at.rows, &out, 1);
    if (!normed) return;
    backend_.rms_norm(at.rows, 1, c.n_embd, c.norm_rms_epsilon, raw, vector(at.run, norm, layer), scratch_.residual,
                      rstd);
    if (only_raw) return;
    backend_.add(at.rows * c.n_embd, scratch_.residual, x);
}

ConstValues Decoder::branch_backward(const Piece &at, Role norm, int layer, Values raw, const float *rstd) {
    const int64_t d = model_.config().n_embd;
    const float *dx = scratch_.dx + at.row * d, *dout = dx;
    if (has(norm, layer)) {
        backend_.clear(at.rows * d, scratch_.dh);
        norm_backward(at, norm, layer, 1, d, rstd, raw, dx, scratch_.dh);
        dout = scratch_.dh;
    }
    return operand(dout, at.rows * d, scratch_.dout);
}

void Decoder::norm_backward(const Piece &at, Role role, int layer, int64_t groups, int64_t n, const float *rstd,
                            ConstValues x, const float *dy, float *dx) {
    backend_.rms_norm_backward(at.rows, groups, n, rstd, x, vector(at.run, role, layer), dy, dx);
    if (float *dg = gradient(at.run, role, layer))
        backend_.rms_norm_weight_backward(at.rows, groups, n, rstd, x, dy, dg);
}

// q, k and v of the layer's input. Everything follows from what is kept, so that computing it again gives the same
// bits.
void Decoder::attention_inputs(const Piece &all, int il, const int32_t *positions) {
    const slm_model_params &c = model_.config();
    const RunState &run = all.run;
    Layer &layer = layers_[static_cast<size_t>(il)];
    Scratch &s = scratch_;
    const int64_t d = c.n_embd, hd = c.n_embd_head, n_q = width_q(), n_kv = width_kv();
    backend_.rms_norm(T_, 1, d, c.norm_rms_epsilon, layer.x, vector(run, ROLE_ATTN_NORM, il), s.h, layer.rstd_attn);

    const bool q_norm = has(ROLE_ATTN_Q_NORM, il), k_norm = has(ROLE_ATTN_K_NORM, il);
    float *q = before_rope(layer.q, s.q), *k = before_rope(layer.k, s.k);
    LinearOutput outs[3];
    const Role biases[3] = {ROLE_ATTN_Q_BIAS, ROLE_ATTN_K_BIAS, ROLE_ATTN_V_BIAS};
    const Values targets[3] = {q_norm ? layer.q_raw : Values(q), k_norm ? layer.k_raw : Values(k), layer.v};
    for (int i = 0; i < 3; ++i) {
        outs[i].y = targets[i];
        outs[i].ldy = i == 0 ? n_q : n_kv;
        outs[i].terms[0].w = weight(run, kQkv[i], il);
        if (has(biases[i], il)) outs[i].bias = vector(run, biases[i], il);
    }
    set_inputs(T_, s.h, outs, 3);
    adapt(all, Site::QKV, il, s.h, outs, layer.kept[static_cast<int>(Site::QKV)]);
    backend_.linear(T_, outs, 3);
    if (q_norm)
        backend_.rms_norm(T_, c.n_head, hd, c.norm_rms_epsilon, layer.q_raw, vector(run, ROLE_ATTN_Q_NORM, il), q,
                          layer.rstd_q);
    if (k_norm)
        backend_.rms_norm(T_, c.n_head_kv, hd, c.norm_rms_epsilon, layer.k_raw, vector(run, ROLE_ATTN_K_NORM, il), k,
                          layer.rstd_k);
    backend_.rope(T_, c.n_head, hd, positions, rope(il), 1.0f, q, layer.q);
    backend_.rope(T_, c.n_head_kv, hd, positions, rope(il), 1.0f, k, layer.k);
}

void Decoder::attention_scores(const Piece &all, int il) {
    Layer &layer = layers_[static_cast<size_t>(il)];
    const PhaseScope scope(all.run.profile, backend_.bytes_moved(), SLM_PHASE_ATTENTION, il);
    backend_.attention(attention_shape(il), all.run.seqs, layer.q, layer.k, layer.v, layer.att, layer.lse,
                       scratch_.attention);
}

// scratch x += the branch
void Decoder::attention_output(const Piece &all, int il, bool only_raw) {
    Layer &layer = layers_[static_cast<size_t>(il)];
    const ConstValues att = operand(layer.att, T_ * width_q(), scratch_.att);
    LinearOutput out;
    out.terms[0].w = weight(all.run, ROLE_ATTN_OUTPUT, il);
    set_inputs(T_, att, &out, 1);
    adapt(all, Site::OUTPUT, il, att, &out, layer.kept[static_cast<int>(Site::OUTPUT)]);
    add_branch(all, ROLE_ATTN_POST_NORM, il, out, layer.att_raw, layer.rstd_att_post, only_raw);
}

void Decoder::attention_again(const Piece &all, int il, const int32_t *positions) {
    const Keep keep = kept_.of(il);
    if (keep <= Keep::NO_FFN) return;
    Layer &layer = layers_[static_cast<size_t>(il)];
    const int64_t values = T_ * model_.config().n_embd;
    attention_inputs(all, il, positions);
    if (keep == Keep::RESIDUAL) attention_scores(all, il);
    if (keeps_x_mid()) {
        if (keep == Keep::RESIDUAL) attention_output(all, il, true);
        return;
    }
    backend_.copy(values, layer.x, scratch_.x);
    attention_output(all, il, false);
    backend_.copy(values, scratch_.x, layer.x_mid);
}

// dx: gradient of x_mid in, of x out.
void Decoder::attention_backward(const Piece &all, int il, const int32_t *positions) {
    const slm_model_params &c = model_.config();
    const RunState &run = all.run;
    Layer &layer = layers_[static_cast<size_t>(il)];
    Scratch &s = scratch_;
    const int64_t d = c.n_embd, hd = c.n_embd_head, n_q = width_q(), n_kv = width_kv();

    const ConstValues dout = branch_backward(all, ROLE_ATTN_POST_NORM, il, layer.att_raw, layer.rstd_att_post);
    const bool adds = method_.adds_to_input_gradient(run);
    const Values datt(s.datt, adds ? Format::F32 : attention_format_);
    const Role output[1] = {ROLE_ATTN_OUTPUT};
    linear_backward(all, Site::OUTPUT, il, operand(layer.att, T_ * n_q, s.att), &dout, output, 1,
                    layer.kept[static_cast<int>(Site::OUTPUT)], datt, true);
    ConstValues datt_rounded = datt;
    if (datt.format != attention_format_) {
        backend_.copy(T_ * n_q, datt, s.dq_rounded);
        datt_rounded = s.dq_rounded;
    }
    {
        const PhaseScope scope(run.profile, backend_.bytes_moved(), SLM_PHASE_ATTENTION, il);
        backend_.attention_backward(attention_shape(il), run.seqs, layer.q, layer.k, layer.v, layer.att, layer.lse,
                                    datt_rounded, s.dq, s.dk, s.dv, s.attention);
    }
    const bool q_norm = has(ROLE_ATTN_Q_NORM, il), k_norm = has(ROLE_ATTN_K_NORM, il);
    const bool rounds = format_ == Format::BF16;
    ConstValues dy[3] = {q_norm || !rounds ? Values(s.dq) : s.dq_rounded,
                         k_norm || !rounds ? Values(s.dk) : s.dk_rounded, s.dv};
    backend_.rope(T_, c.n_head, hd, positions, rope(il), -1.0f, s.dq, q_norm || !rounds ? Values(s.dq) : s.dq_rounded);
    backend_.rope(T_, c.n_head_kv, hd, positions, rope(il), -1.0f, s.dk,
                  k_norm || !rounds ? Values(s.dk) : s.dk_rounded);
    // The gradient before a q/k norm goes where the rotated value was: that is not read again.
    if (q_norm) {
        float *before = before_rope(layer.q, s.q);
        backend_.clear(T_ * n_q, before);
        norm_backward(all, ROLE_ATTN_Q_NORM, il, c.n_head, hd, layer.rstd_q, layer.q_raw, s.dq, before);
        dy[0] = before;
    }
    if (k_norm) {
        float *before = before_rope(layer.k, s.k);
        backend_.clear(T_ * n_kv, before);
        norm_backward(all, ROLE_ATTN_K_NORM, il, c.n_head_kv, hd, layer.rstd_k, layer.k_raw, s.dk, before);
        dy[1] = before;
    }
    const Values rounded[3] = {s.dq_rounded, s.dk_rounded, s.dv_rounded};
    for (int i = 0; i < 3; ++i) dy[i] = operand(dy[i], T_ * (i == 0 ? n_q : n_kv), rounded[i]);

    backend_.rms_norm(T_, 1, d, c.norm_rms_epsilon, layer.x, vector(run, ROLE_ATTN_NORM, il), s.h, layer.rstd_attn);
    const Role biases[3] = {ROLE_ATTN_Q_BIAS, ROLE_ATTN_K_BIAS, ROLE_ATTN_V_BIAS};
    for (int i = 0; i < 3; ++i)
        if (has(biases[i], il))
            if (float *db = gradient(run, biases[i], il)) backend_.bias_backward(T_, i == 0 ? n_q : n_kv, dy[i], db);
    const bool wanted = il > 0 || method_.trains_input();
    linear_backward(all, Site::QKV, il, s.h, dy, kQkv, 3, layer.kept[static_cast<int>(Site::QKV)], s.dh, wanted);
    if (wanted) norm_backward(all, ROLE_ATTN_NORM, il, 1, d, layer.rstd_attn, layer.x, s.dh, s.dx);
}

// gate and up of x_mid
void Decoder::ffn_inputs(const Piece &at, int il) {
    const slm_model_params &c = model_.config();
    const Layer layer = ffn_rows(at, il);
    backend_.rms_norm(at.rows, 1, c.n_embd, c.norm_rms_epsilon, layer.x_mid, vector(at.run, ROLE_FFN_NORM, il),
                      scratch_.h, layer.rstd_ffn);
    LinearOutput outs[2];
    outs[0].y = layer.gate;
    outs[1].y = layer.up;
    for (int i = 0; i < 2; ++i) {
        outs[i].ldy = c.n_ff;
        outs[i].terms[0].w = weight(at.run, kGateUp[i], il);
    }
    set_inputs(at.rows, scratch_.h, outs, 2);
    adapt(at, Site::GATE_UP, il, scratch_.h, outs, layer.kept[static_cast<int>(Site::GATE_UP)]);
    backend_.linear(at.rows, outs, 2);
}

// scratch x += the branch
void Decoder::ffn_output(const Piece &at, int il, bool only_raw) {
    const slm_model_params &c = model_.config();
    const Layer layer = ffn_rows(at, il);
    backend_.glu(static_cast<slm_activation>(c.activation), at.rows * c.n_ff, layer.gate, layer.up, scratch_.act);
    LinearOutput out;
    out.terms[0].w = weight(at.run, ROLE_FFN_DOWN, il);
    // What the gate lets through has outliers that the steps of 32 values would drown the others in.
    out.terms[0] = {scratch_.act, c.n_ff, out.terms[0].w};
    adapt(at, Site::DOWN, il, scratch_.act, &out, layer.kept[static_cast<int>(Site::DOWN)]);
    add_branch(at, ROLE_FFN_POST_NORM, il, out, layer.ffn_raw, layer.rstd_ffn_post, only_raw);
}

// dx: gradient of the layer's output in, of x_mid out.
void Decoder::ffn_backward(const Piece &at, int il) {
    const slm_model_params &c = model_.config();
    const Layer layer = ffn_rows(at, il);
    Scratch &s = scratch_;
    const int64_t d = c.n_embd, values = at.rows * c.n_ff;
    const slm_activation activation = static_cast<slm_activation>(c.activation);
    if (kept_.of(il) == Keep::RESIDUAL)
        ffn_output(at, il, true);
    else
        backend_.glu(activation, values, layer.gate, layer.up, s.act);

    const ConstValues dout = branch_backward(at, ROLE_FFN_POST_NORM, il, layer.ffn_raw, layer.rstd_ffn_post);
    const Values dact(s.dact, method_.adds_to_input_gradient(at.run) ? Format::F32 : format_);
    const Role down[1] = {ROLE_FFN_DOWN};
    linear_backward(at, Site::DOWN, il, s.act, &dout, down, 1, layer.kept[static_cast<int>(Site::DOWN)], dact, true);

    backend_.glu_backward(activation, values, dact, layer.gate, layer.up);
    backend_.rms_norm(at.rows, 1, d, c.norm_rms_epsilon, layer.x_mid, vector(at.run, ROLE_FFN_NORM, il), s.h,
                      layer.rstd_ffn);
    const ConstValues dy[2] = {layer.gate, layer.up};
    linear_backward(at, Site::GATE_UP, il, s.h, dy, kGateUp, 2, layer.kept[static_cast<int>(Site::GATE_UP)], s.dh,
                    true);
    norm_backward(at, ROLE_FFN_NORM, il, 1, d, layer.rstd_ffn, layer.x_mid, s.dh, s.dx + at.row * d);
}

// logits of n rows, before the soft cap
void Decoder::head_chunk(const RunState &run, const int64_t *rows, int64_t n, float *out) {
    const slm_model_params &c = model_.config();
    backend_.gather_rows(n, c.n_embd, rows, scratch_.x, scratch_.head_x);
    backend_.rms_norm(n, 1, c.n_embd, c.norm_rms_epsilon, scratch_.head_x, vector(run, ROLE_OUTPUT_NORM),
                      scratch_.head_h, scratch_.head_rstd);
    LinearOutput output;
    output.y = out;
    output.ldy = c.n_vocab;
    output.terms[0].w = weight(run, model_.tied_head() ? ROLE_TOKEN_EMBD : ROLE_OUTPUT);
    set_inputs(n, scratch_.head_h, &output, 1);
    backend_.linear(n, &output, 1);
}

// scratch logits hold d loss / d logits; a tied head adds its gradient to the embedding's.
void Decoder::head_chunk_backward(const RunState &run, const int64_t *rows, int64_t n) {
    const slm_model_params &c = model_.config();
    const Role role = model_.tied_head() ? ROLE_TOKEN_EMBD : ROLE_OUTPUT;
    Scratch &s = scratch_;
    const ConstValues dy(scratch_.logits, format_);
    const int64_t lddy = format_ == Format::F32 ? c.n_vocab : 2 * static_cast<int64_t>(c.n_vocab);
    if (float *dw = gradient(run, role)) {
        const int64_t offsets[2] = {0, n};
        const OuterJob job{dy, lddy, c.n_vocab, s.head_h, c.n_embd, c.n_embd, dw, c.n_embd, false};
        backend_.outer({1, offsets}, &job, 1);
    }
    const LinearGradTerm term = {dy, lddy, weight(run, role)};
    backend_.linear_backward(n, &term, 1, s.head_dh, c.n_embd, false);
    if (float *dg = gradient(run, ROLE_OUTPUT_NORM))
        backend_.rms_norm_weight_backward(n, 1, c.n_embd, s.head_rstd, s.head_x, s.head_dh, dg);
    backend_.clear(n * c.n_embd, s.head_dx);
    backend_.rms_norm_backward(n, 1, c.n_embd, s.head_rstd, s.head_x, vector(run, ROLE_OUTPUT_NORM), s.head_dh,
                               s.head_dx);
    backend_.scatter_rows(n, c.n_embd, rows, s.head_dx, s.dx);
}

void Decoder::head(const RunState &run, const int32_t *targets, const std::vector<int64_t> &rows, bool gradient,
                   double *loss) {
    const PhaseScope scope(run.profile, backend_.bytes_moved(), SLM_PHASE_HEAD);
    const slm_model_params &c = model_.config();
    if (gradient) backend_.clear(T_ * c.n_embd, scratch_.dx);
    const int64_t count = static_cast<int64_t>(rows.size());
    for (int64_t first = 0; first < count; first += logit_rows_) {
        const int64_t n = std::min(logit_rows_, count - first);
        const int64_t *chunk = rows.data() + first;
        head_chunk(run, chunk, n, scratch_.logits);
        backend_.cross_entropy(n, c.n_vocab, c.final_logit_softcap, scratch_.logits, targets + first, gradient,
                               loss + first, format_);
        if (gradient) head_chunk_backward(run, chunk, n);
    }
}

void Decoder::logits(const RunState &run, const int64_t *rows, int64_t n_rows, float *out) {
    const PhaseScope scope(run.profile, backend_.bytes_moved(), SLM_PHASE_HEAD);
    const slm_model_params &c = model_.config();
    for (int64_t first = 0; first < n_rows; first += logit_rows_) {
        const int64_t n = std::min(logit_rows_, n_rows - first);
        head_chunk(run, rows + first, n, out + first * c.n_vocab);
        if (c.final_logit_softcap > 0) backend_.softcap(n * c.n_vocab, c.final_logit_softcap, out + first * c.n_vocab);
    }
}

// Targets of one row lie next to each other: the row is computed once for all of them.
void Decoder::score(const RunState &run, const int64_t *rows, const int32_t *targets, int64_t n, double *logprobs,
                    int32_t *tops) {
    const PhaseScope scope(run.profile, backend_.bytes_moved(), SLM_PHASE_HEAD);
    const slm_model_params &c = model_.config();
    const Scratch &s = scratch_;
    for (int64_t first = 0, end = 0; first < n; first = end) {
        int64_t count = 0;
        for (; end < n; ++end) {
            if (count > 0 && rows[end] == s.head_rows[count - 1]) continue;
            if (count == logit_rows_) break;
            s.head_rows[count++] = rows[end];
        }
        head_chunk(run, s.head_rows, count, scratch_.logits);
        backend_.log_sum_exp(count, c.n_vocab, c.final_logit_softcap, scratch_.logits, s.head_lse, s.head_tops);
        for (int64_t i = first, r = 0; i < end; ++i) {
            if (rows[i] != s.head_rows[r]) ++r;
            logprobs[i] = static_cast<double>(scratch_.logits[r * c.n_vocab + targets[i]]) - s.head_lse[r];
            tops[i] = s.head_tops[r];
        }
    }
}

}  // namespace slm
