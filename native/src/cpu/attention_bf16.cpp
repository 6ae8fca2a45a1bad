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

// scores[rows, ld] = x k^T for the panel's keys from `key` up to `end`
void score_panel(const Kernels &kernels, const uint16_t *x, int64_t ldx, int64_t rows, int64_t head_dim,
                 const uint16_t *panels, int64_t key, int64_t end, float *scores, int64_t ld) {
    kernels.gemm_bf16({rows, std::min<int64_t>(kPanel, round_up(end - key, 16)), head_dim, x, ldx,
                       panels + key / kPanel * head_dim * kPanel, scores, ld, false});
}

// What softmax left over a tile of scores.
const uint16_t *tile_bf16(const float *scores) {
    return reinterpret_cast<const uint16_t *>(scores);
}

// c[m, head_dim] (=|+=) a[m, k] times rows from..from+k of packed pairs
void times_pairs(const Kernels &kernels, int64_t m, int64_t k, const uint16_t *a, int64_t lda, const uint16_t *panels,
                 int64_t panel_rows, int64_t from, int64_t head_dim, float *c, int64_t ldc, bool add) {
    for (int64_t column = 0; column < head_dim; column += kPanel)
        kernels.gemm_bf16({m, std::min<int64_t>(kPanel, head_dim - column), k, a, lda,
                           panels + column * panel_rows + from * kPanel, c + column, ldc, add});
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
    pack_keys(kernels, k, ld, at.inherited + at.end, hd, s.k_panels);
    if (at.inherited > 0) gather_seen(call, at, call.v.bf16(), s.v_panels);
    pack_pairs(kernels, v, ld, at.inherited + at.end, s.ld, hd, s.pairs);
    for (int64_t block = at.begin; block < at.end; block += kQueryBlock) {
        const int64_t rows = std::min(kQueryBlock, at.end - block), first = at.inherited + block;
        const KeyRange keys = keys_of_block(shape, first, rows);
        SoftmaxSum sums[kQueryBlock];
        for (int64_t from = keys.begin; from < keys.end; from += kKeyTile) {
            const int64_t to = std::min(from + kKeyTile, keys.end), width = round_up(to - from, 2);
            for (int64_t j = from; j < to; j += kPanel)
                score_panel(kernels, q + block * q_width, q_width, rows, hd, s.k_panels, j, to, s.scores + j - from,
                            kKeyTile);
            for (int64_t r = 0; r < rows; ++r) {
                const KeyRange seen = within(keys_of_row(shape, first + r), from, to);
                const float shrink = kernels.softmax_tile(width, seen.begin, seen.end, shape.scale, shape.softcap,
                                                          s.scores + r * kKeyTile, Format::BF16, &sums[r]);
                if (from > keys.begin && shrink != 1.0f) kernels.scale(hd, shrink, {s.out + r * hd, Format::F32});
            }
            times_pairs(kernels, rows, width, tile_bf16(s.scores), 2 * kKeyTile, s.pairs, s.ld, from, hd, s.out, hd,
                        from > keys.begin);
        }
        for (int64_t r = 0; r < rows; ++r) {
            kernels.scale(hd, static_cast<float>(1.0 / sums[r].sum), {s.out + r * hd, Format::F32});
            kernels.to_bf16(hd, s.out + r * hd, call.out.bf16() + at.q + (block + r) * q_width);
            call.lse[(at.first + block + r) * shape.n_head + at.head] = sums[r].log();
        }
    }
}

void attention_head_backward_bf16(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at,
                                  const HeadScratchBf16 &s) {
    const AttentionShape &shape = call.shape;
    const int64_t n = at.n, hd = shape.head_dim, q_width = call.q_width(), kv_width = call.kv_width();
    const uint16_t *q = call.q.bf16() + at.q, *dout = call.dout.bf16() + at.q, *out = call.out.bf16() + at.q;
    const int64_t first = at.begin, own = at.end - at.begin;
    const uint16_t *k = call.k.bf16() + at.kv + first * kv_width, *v = call.v.bf16() + at.kv + first * kv_width;
    pack_keys(kernels, k, kv_width, own, hd, s.k_panels + first * hd);
    pack_keys(kernels, v, kv_width, own, hd, s.v_panels + first * hd);
    pack_pairs(kernels, k, kv_width, own, s.ld, hd, s.pairs + first * kPanel);
    // The first block of rows may begin before the part's first key.
    const int64_t first_row = first / kQueryBlock * kQueryBlock;
    pack_pairs(kernels, q + first_row * q_width, q_width, n - first_row, s.ld, hd, s.q_pairs + first_row * kPanel);
    pack_pairs(kernels, dout + first_row * q_width, q_width, n - first_row, s.ld, hd, s.d_pairs + first_row * kPanel);
    for (int64_t r = first_row; r < n; ++r) s.deltas[r] = kernels.dot(hd, dout + r * q_width, out + r * q_width);
    float *dk = call.dk_heads + at.q, *dv = call.dv_heads + at.q, *dq = call.dq[at.part] + at.q;
    clear_head(own, hd, dk + first * q_width, dv + first * q_width, q_width);
    clear_blind_rows(shape, at, dq, q_width);

    // A tile of keys and its gradients stay near while the rows that see it pass.
    for (int64_t tile = first; tile < at.end; tile += kKeyTile) {
        const int64_t last = last_row_of_key(shape, n, std::min(tile + kKeyTile, at.end) - 1);
        for (int64_t block = tile / kQueryBlock * kQueryBlock; block <= last; block += kQueryBlock) {
            const int64_t rows = std::min(kQueryBlock, n - block), even = round_up(rows, 2), row = block * q_width;
            const KeyRange keys = keys_of_block(shape, block, rows);
            const int64_t from = std::max(keys.begin, tile), to = std::min({keys.end, at.end, tile + kKeyTile});
            const int64_t count = to - from, width = round_up(count, 2);
            // forward: P = softmax(scale q k^T), out = P v
            for (int64_t j = from; j < to; j += kPanel) {
                score_panel(kernels, q + row, q_width, rows, hd, s.k_panels, j, to, s.scores, kPanel);
                score_panel(kernels, dout + row, q_width, rows, hd, s.v_panels, j, to, s.d_scores, kPanel);
                softmax_backward_panel(kernels, call, at, block, rows, {j, std::min(j + kPanel, to)}, s.scores,
                                       s.d_scores, s.deltas, s.p + j - from, s.ds + j - from);
            }
            times_pairs(kernels, rows, width, s.ds, kKeyTile, s.pairs, s.ld, from, hd, dq + row, q_width,
                        from > std::max(keys.begin, first));
            kernels.turn_bf16(s.p, kKeyTile, rows, count, s.p_turned, kQueryBlock);
            kernels.turn_bf16(s.ds, kKeyTile, rows, count, s.ds_turned, kQueryBlock);
            times_pairs(kernels, count, even, s.ds_turned, kQueryBlock, s.q_pairs, s.ld, block, hd, dk + from * q_width,
                        q_width, true);
            times_pairs(kernels, count, even, s.p_turned, kQueryBlock, s.d_pairs, s.ld, block, hd, dv + from * q_width,
                        q_width, true);
        }
    }
}

}  // namespace slm
