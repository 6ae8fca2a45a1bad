// Attention over rounded values. Scores, softmax and sums are f32; every product takes bf16 pairs: the probabilities
// and their gradients are rounded where they lie. The head is a multiple of 16 values.
#include "cpu/attention.hpp"

namespace slm {

namespace {

void pack_keys(const Kernels &kernels, const uint16_t *x, int64_t ld, int64_t n, int64_t head_dim, uint16_t *panels) {
    const int64_t last = n / kPanel * kPanel;
    if (last != n) std::memset(panels + last * head_dim, 0, static_cast<size_t>(head_dim * kPanel) * sizeof(uint16_t));
    for (int64_t j = 0; j < n; j += 16)
        kernels.transpose_bf16(x + j * ld, ld, static_cast<int>(std::min<int64_t>(16, n - j)), head_dim,
                               panels + j / kPanel * head_dim * kPanel, static_cast<int>(j % kPanel));
}

// Panel c holds values 64 c ... of the head: pair [i/2][j] = x[i][64 c + j], x[i + 1][64 c + j]; panels lie
// rows * kPanel apart.
void pack_pairs(const Kernels &kernels, const uint16_t *x, int64_t ld, int64_t n, int64_t rows, int64_t head_dim,
                uint16_t *panels) {
    const uint16_t zeros[kPanel] = {};
    for (int64_t c = 0; c < head_dim; c += kPanel) {
        const int64_t width = std::min<int64_t>(kPanel, head_dim - c);
        uint16_t *out = panels + c * rows;
        for (int64_t i = 0; i < n; i += 2, out += 2 * kPanel)
            kernels.interleave_bf16(width, x + i * ld + c, i + 1 < n ? x + (i + 1) * ld + c : zeros, out);
    }
}

void score_block(const Kernels &kernels, const uint16_t *x, int64_t ldx, int64_t rows, int64_t head_dim,
                 const uint16_t *panels, int64_t begin, int64_t end, float *scores, int64_t ld) {
    for (int64_t j = begin; j < end; j += kPanel)
        kernels.gemm_bf16({rows, std::min<int64_t>(kPanel, round_up(end - j, 16)), head_dim, x, ldx,
                           panels + j / kPanel * head_dim * kPanel, scores + j, ld, false});
}

// c[m, head_dim] (=|+=) a[m, k] times rows from..from+k of packed pairs
void times_pairs(const Kernels &kernels, int64_t m, int64_t k, const uint16_t *a, int64_t lda, const uint16_t *panels,
                 int64_t panel_rows, int64_t from, int64_t head_dim, float *c, int64_t ldc, bool add) {
    for (int64_t column = 0; column < head_dim; column += kPanel)
        kernels.gemm_bf16({m, std::min<int64_t>(kPanel, head_dim - column), k, a, lda,
                           panels + column * panel_rows + from * kPanel, c + column, ldc, add});
}

// Rows of scores become bf16 where they lie; their stride in values doubles.
uint16_t *round_row(const Kernels &kernels, float *row, int64_t n) {
    uint16_t *out = reinterpret_cast<uint16_t *>(row);
    kernels.to_bf16(n, row, out);
    return out;
}

}  // namespace

void attention_head_bf16(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at,
                         const HeadScratchBf16 &s) {
    const AttentionShape &shape = call.shape;
    const int64_t hd = shape.head_dim, q_width = call.q_width();
    const uint16_t *q = call.q.bf16() + at.q;
    const uint16_t *k = call.k.bf16() + at.kv, *v = call.v.bf16() + at.kv;
    int64_t ld = call.kv_width();
    if (at.inherited > 0) {
        gather_seen(call, at, call.k.bf16(), s.v_panels);
        k = v = s.v_panels;
        ld = hd;
    }
    pack_keys(kernels, k, ld, at.seen(), hd, s.k_panels);
    if (at.inherited > 0) gather_seen(call, at, call.v.bf16(), s.v_panels);
    pack_pairs(kernels, v, ld, at.seen(), s.ld, hd, s.pairs);
    for (int64_t block = 0; block < at.n; block += kQueryBlock) {
        const int64_t rows = std::min(kQueryBlock, at.n - block), first = at.inherited + block;
        const auto [begin, end] = keys_of_block(shape, first, rows);
        const int64_t keys = round_up(end - begin, 2);
        score_block(kernels, q + block * q_width, q_width, rows, hd, s.k_panels, begin, end, s.scores, s.ld);
        for (int64_t r = 0; r < rows; ++r) {
            const KeyRange seen = keys_of_row(shape, first + r);
            float *row = s.scores + r * s.ld + begin;
            call.lse[(at.first + block + r) * shape.n_head + at.head] =
                kernels.softmax_row(keys, seen.begin - begin, seen.end - begin, shape.scale, shape.softcap, row);
            round_row(kernels, row, keys);
        }
        times_pairs(kernels, rows, keys, reinterpret_cast<const uint16_t *>(s.scores + begin), 2 * s.ld, s.pairs, s.ld,
                    begin, hd, s.out, hd, false);
        for (int64_t r = 0; r < rows; ++r)
            kernels.to_bf16(hd, s.out + r * hd, call.out.bf16() + at.q + (block + r) * q_width);
    }
}

void attention_head_backward_bf16(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at,
                                  const HeadScratchBf16 &s) {
    const AttentionShape &shape = call.shape;
    const int64_t n = at.n, hd = shape.head_dim, q_width = call.q_width(), kv_width = call.kv_width();
    const uint16_t *q = call.q.bf16() + at.q, *dout = call.dout.bf16() + at.q, *out = call.out.bf16() + at.q;
    const uint16_t *k = call.k.bf16() + at.kv;
    pack_keys(kernels, k, kv_width, n, hd, s.k_panels);
    pack_keys(kernels, call.v.bf16() + at.kv, kv_width, n, hd, s.v_panels);
    pack_pairs(kernels, k, kv_width, n, s.ld, hd, s.pairs);
    float *dk = call.dk_heads + at.q, *dv = call.dv_heads + at.q;
    clear_head(n, hd, dk, dv, q_width);

    for (int64_t block = 0; block < n; block += kQueryBlock) {
        const int64_t rows = std::min(kQueryBlock, n - block), even = round_up(rows, 2), row = block * q_width;
        const auto [begin, end] = keys_of_block(shape, block, rows);
        const int64_t keys = round_up(end - begin, 2);
        // forward: P = softmax(scale q k^T), out = P v
        score_block(kernels, q + row, q_width, rows, hd, s.k_panels, begin, end, s.scores, s.ld);
        score_block(kernels, dout + row, q_width, rows, hd, s.v_panels, begin, end, s.d_scores, s.ld);
        for (int64_t r = 0; r < rows; ++r) {
            const KeyRange seen = keys_of_row(shape, block + r);
            const float delta = kernels.dot(hd, dout + row + r * q_width, out + row + r * q_width);
            float *p = s.scores + r * s.ld + begin, *ds = s.d_scores + r * s.ld + begin;
            kernels.softmax_row_backward(keys, seen.begin - begin, seen.end - begin, shape.scale, shape.softcap,
                                         call.lse[(at.first + block + r) * shape.n_head + at.head], delta, p, ds);
            round_row(kernels, p, keys);
            round_row(kernels, ds, keys);
        }
        const uint16_t *p = reinterpret_cast<const uint16_t *>(s.scores + begin);
        const uint16_t *ds = reinterpret_cast<const uint16_t *>(s.d_scores + begin);
        times_pairs(kernels, rows, keys, ds, 2 * s.ld, s.pairs, s.ld, begin, hd, call.dq + at.q + row, q_width, false);
        kernels.turn_bf16(p, 2 * s.ld, rows, end - begin, s.p_turned, kQueryBlock);
        kernels.turn_bf16(ds, 2 * s.ld, rows, end - begin, s.ds_turned, kQueryBlock);
        pack_pairs(kernels, q + row, q_width, rows, kQueryBlock, hd, s.q_pairs);
        pack_pairs(kernels, dout + row, q_width, rows, kQueryBlock, hd, s.d_pairs);
        times_pairs(kernels, end - begin, even, s.ds_turned, kQueryBlock, s.q_pairs, kQueryBlock, 0, hd,
                    dk + begin * q_width, q_width, true);
        times_pairs(kernels, end - begin, even, s.p_turned, kQueryBlock, s.d_pairs, kQueryBlock, 0, hd,
                    dv + begin * q_width, q_width, true);
    }
}

}  // namespace slm
