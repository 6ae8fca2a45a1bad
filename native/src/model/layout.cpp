// Where the values of a run lie in its block of memory: what each layer keeps, and work space.
#include <algorithm>

#include "model/decoder.hpp"

namespace slm {

namespace {

Values take(Arena &arena, Format format, int64_t n) {
    return {arena.take<char>(n * bytes_of(format)), format};
}

// What both take lies from the same place on: they are never needed together.
template <typename First, typename Second>
void take_either(Arena &arena, const First &first, const Second &second) {
    const size_t start = arena.used();
    first();
    const size_t end = arena.used();
    arena.back_to(start);
    second();
    arena.back_to(std::max(end, arena.used()));
}

}  // namespace

void Decoder::lay_out(Arena &arena, int64_t T, KeptLayers kept, bool backward) {
    T_ = T;
    kept_ = kept;
    // The last layer keeps least: what it does not keep, the others share with it.
    for (int il = model_.config().n_layer - 1; il >= 0; --il) lay_out_layer(arena, il);
    lay_out_scratch(arena);
    if (backward) lay_out_backward(arena);

    take_either(
        arena, [&] { lay_out_idle(arena, backward); },
        [&] { scratch_.logits = arena.take<float>(logit_rows_ * model_.config().n_vocab); });
}

void Decoder::lay_out_layer(Arena &arena, int il) {
    const slm_model_params &c = model_.config();
    const int64_t d = c.n_embd, n_q = width_q(), n_kv = width_kv(), ff = c.n_ff, piece = std::min(T_, kPieceRows);
    const Keep keep = kept_.of(il);
    const bool residual = keep != Keep::NOTHING, output = keep <= Keep::OUTPUT, attention = keep <= Keep::NO_FFN,
               ffn = keep == Keep::ALL;
    Layer &layer = layers_[static_cast<size_t>(il)];
    const Layer shared = layers_.back();
    const bool last = il == c.n_layer - 1;
    const auto values = [&](bool own, Values other, int64_t rows, int64_t width, Format format) {
        return own ? take(arena, format, T_ * width) : last ? take(arena, format, rows * width) : other;
    };
    const auto floats = [&](bool own, float *other, int64_t width) {
        return own || last ? arena.take<float>(T_ * width) : other;
    };
    layer.x = values(residual, shared.x, T_, d, format_);
    layer.rstd_attn = floats(attention, shared.rstd_attn, 1);
    layer.q = values(attention, shared.q, T_, n_q, attention_format_);
    layer.k = values(attention, shared.k, T_, n_kv, attention_format_);
    layer.v = values(attention, shared.v, T_, n_kv, attention_format_);
    const bool q_norm = has(ROLE_ATTN_Q_NORM, il), k_norm = has(ROLE_ATTN_K_NORM, il);
    layer.q_raw = values(attention, shared.q_raw, T_, q_norm ? n_q : 0, format_);
    layer.k_raw = values(attention, shared.k_raw, T_, k_norm ? n_kv : 0, format_);
    layer.rstd_q = floats(attention, shared.rstd_q, q_norm ? c.n_head : 0);
    layer.rstd_k = floats(attention, shared.rstd_k, k_norm ? c.n_head_kv : 0);
    layer.att = values(output, shared.att, T_, n_q, attention_format_);
    layer.lse = floats(output, shared.lse, c.n_head);
    const int64_t att_post = has(ROLE_ATTN_POST_NORM, il) ? 1 : 0, ffn_post = has(ROLE_FFN_POST_NORM, il) ? 1 : 0;
    layer.att_raw = values(output, shared.att_raw, T_, att_post * d, format_);
    layer.rstd_att_post = floats(output, shared.rstd_att_post, att_post);
    layer.x_mid = values(attention || (residual && keeps_x_mid()), shared.x_mid, T_, d, format_);
    layer.rstd_ffn = floats(attention, shared.rstd_ffn, 1);
    layer.gate = values(ffn, shared.gate, piece, ff, format_);
    layer.up = values(ffn, shared.up, piece, ff, format_);
    layer.ffn_raw = values(output, shared.ffn_raw, piece, ffn_post * d, format_);
    layer.rstd_ffn_post = floats(output, shared.rstd_ffn_post, ffn_post);
    const bool own[kSites] = {attention, output, ffn, output};
    const int64_t rows[kSites] = {T_, T_, piece, piece};
    for (int s = 0; s < kSites; ++s)
        layer.kept[s] =
            values(own[s], shared.kept[s], rows[s], method_.kept_values(static_cast<Site>(s), il, 1), format_);
}

Decoder::Layer Decoder::ffn_rows(const Piece &at, int il) const {
    const slm_model_params &c = model_.config();
    const Keep keep = kept_.of(il);
    Layer layer = layers_[static_cast<size_t>(il)];
    const auto site_rows = [&](Site site) {
        Values &kept = layer.kept[static_cast<int>(site)];
        kept = kept.at(method_.kept_values(site, il, at.row));
    };
    layer.x_mid = layer.x_mid.at(at.row * c.n_embd);
    layer.rstd_ffn += at.row;
    if (keep <= Keep::OUTPUT) {
        if (has(ROLE_FFN_POST_NORM, il)) {
            layer.ffn_raw = layer.ffn_raw.at(at.row * c.n_embd);
            layer.rstd_ffn_post += at.row;
        }
        site_rows(Site::DOWN);
    }
    if (keep == Keep::ALL) {
        layer.gate = layer.gate.at(at.row * c.n_ff);
        layer.up = layer.up.at(at.row * c.n_ff);
        site_rows(Site::GATE_UP);
    }
    return layer;
}

void Decoder::lay_out_scratch(Arena &arena) {
    const slm_model_params &c = model_.config();
    const int64_t d = c.n_embd, n_q = width_q();
    Scratch &s = scratch_;
    s.x = arena.take<float>(T_ * d);
    const bool integers = compute_ == SLM_COMPUTE_INT8;
    s.q8 = {
        arena.take<char>(integers ? std::max(T_ * q8_row_bytes(std::max(d, n_q)), logit_rows_ * q8_row_bytes(d)) : 0),
        Format::Q8};
    s.offsets = arena.take<int64_t>(std::min(T_, kPieceRows) + 1);
    s.head_x = arena.take<float>(logit_rows_ * d);
    s.head_h = take(arena, format_, logit_rows_ * d);
    s.head_rstd = arena.take<float>(logit_rows_);
    s.head_rows = arena.take<int64_t>(logit_rows_);
    s.head_lse = arena.take<double>(logit_rows_);
    s.head_tops = arena.take<int32_t>(logit_rows_);
}

void Decoder::lay_out_backward(Arena &arena) {
    const int64_t d = model_.config().n_embd;
    Scratch &s = scratch_;
    s.head_dh = arena.take<float>(logit_rows_ * d);
    s.head_dx = arena.take<float>(logit_rows_ * d);
    s.dx = arena.take<float>(T_ * d);
    s.dh = s.x;  // the stream has passed when a layer's gradients come
}

void Decoder::lay_out_idle(Arena &arena, bool backward) {
    const slm_model_params &c = model_.config();
    const int64_t d = c.n_embd, n_q = width_q(), n_kv = width_kv(), ff = c.n_ff, piece = std::min(T_, kPieceRows);
    const bool rounds_q = attention_format_ == Format::BF16, rounds = format_ == Format::BF16;
    Scratch &s = scratch_;
    const bool post_norms = has(ROLE_ATTN_POST_NORM, 0) || has(ROLE_FFN_POST_NORM, 0);
    take_either(
        arena,
        [&] { s.attention = arena.take<char>(backend_.attention_scratch(attention_shape(0), T_, attention_format_)); },
        [&] {
            s.h = take(arena, format_, T_ * d);
            s.act = take(arena, format_, piece * ff);
            s.dact = arena.take<float>(backward ? piece * ff : 0);
            s.att = take(arena, Format::BF16, rounds && !rounds_q ? T_ * n_q : 0);
            s.residual = arena.take<float>(post_norms ? T_ * d : 0);
            s.method = arena.take<float>(method_.scratch_values(T_));
        });
    s.q = arena.take<float>(rounds_q || backward ? T_ * n_q : 0);
    s.k = arena.take<float>(rounds_q ? T_ * n_kv : 0);
    if (!backward) return;
    s.datt = s.q;  // which is done with before, and needed again only after
    s.dout = take(arena, Format::BF16, rounds ? T_ * std::max(d, n_q) : 0);
    s.dq_rounded = s.dout;  // attention's output has its gradient by then
    s.dq = arena.take<float>(T_ * n_q);
    s.dk = arena.take<float>(T_ * n_kv);
    s.dv = arena.take<float>(T_ * n_kv);
    s.dk_rounded = take(arena, Format::BF16, rounds ? T_ * n_kv : 0);
    s.dv_rounded = take(arena, Format::BF16, rounds ? T_ * n_kv : 0);
}

}  // namespace slm
