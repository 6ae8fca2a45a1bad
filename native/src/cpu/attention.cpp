// Causal attention over packed sequences. Scores are those of a block of rows against a tile of keys, never [T, T];
// softmax is read tile by tile (FlashAttention, Dao et al. 2022, algorithm 1; the backward's order is that of
// FlashAttention-2, Dao 2023, algorithm 2). One item of work is one head of one sequence, so a result does not depend
// on what else is in the batch.
#include "cpu/attention.hpp"

#include <algorithm>
#include <cstring>

namespace slm {

namespace {

struct Rows {
    const float *data;
    int64_t ld;
};

// Rows as the right operand of a product: in place where vectors fit the head, else a padded copy.
Rows operand(const float *x, int64_t ld, int64_t n, int64_t head_dim, float *copy) {
    if (head_dim % 16 == 0) return {x, ld};
    const int64_t padded = round_up(head_dim, 16);
    for (int64_t i = 0; i < n; ++i) {
        std::memcpy(copy + i * padded, x + i * ld, static_cast<size_t>(head_dim) * sizeof(float));
        std::memset(copy + i * padded + head_dim, 0, static_cast<size_t>(padded - head_dim) * sizeof(float));
    }
    return {copy, padded};
}

// Panels of 64 keys: panel[d][j] = x[64 p + j][d].
void pack_keys(const Kernels &kernels, const float *x, int64_t ld, int64_t n, int64_t head_dim, float *panels) {
    if (n % kPanel != 0)
        std::memset(panels + n / kPanel * head_dim * kPanel, 0, static_cast<size_t>(head_dim * kPanel) * sizeof(float));
    for (int64_t j = 0; j < n; j += 16)
        kernels.transpose(x + j * ld, ld, static_cast<int>(std::min<int64_t>(16, n - j)), head_dim,
                          panels + j / kPanel * head_dim * kPanel, static_cast<int>(j % kPanel));
}

// scores[rows, ld] = x k^T for the panel's keys from `key` up to `end`
void score_panel(const Kernels &kernels, const float *x, int64_t ldx, int64_t rows, int64_t head_dim,
                 const float *panels, int64_t key, int64_t end, float *scores, int64_t ld) {
    kernels.gemm({rows, std::min<int64_t>(kPanel, round_up(end - key, 16)), head_dim, x, ldx, 1,
                  panels + key / kPanel * head_dim * kPanel, kPanel, scores, ld, false});
}

}  // namespace

// One thread's work space.
struct HeadScratch {
    float *k_panels, *v_panels;
    float *scores, *d_scores;  // [kQueryBlock, kKeyTile] forward, [kQueryBlock, kPanel] backward
    float *p, *ds;             // [kQueryBlock, kKeyTile] of the backward
    float *deltas, *copies[3];

    HeadScratch(Arena &arena, const AttentionShape &shape, int64_t max_tokens) {
        const int64_t ld = round_up(max_tokens, kPanel), padded = round_up(shape.head_dim, 16);
        k_panels = arena.take<float>(ld * shape.head_dim);
        v_panels = arena.take<float>(ld * shape.head_dim);
        for (float **tile : {&scores, &p, &ds}) *tile = arena.take<float>(kQueryBlock * kKeyTile);
        d_scores = arena.take<float>(kQueryBlock * kPanel);
        deltas = arena.take<float>(ld);
        for (float *&copy : copies) copy = shape.head_dim % 16 == 0 ? nullptr : arena.take<float>(ld * padded);
    }
};

// forward: P = softmax(scale q k^T), out = P v
static void attention_head(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at,
                           const HeadScratch &scratch) {
    const AttentionShape &shape = call.shape;
    const int64_t hd = shape.head_dim, q_width = call.q_width();
    const float *q_rows = call.q.f32() + at.q;
    float *out_rows = call.out.f32() + at.q;
    Rows keys{call.k.f32() + at.kv, call.kv_width()}, values{call.v.f32() + at.kv, call.kv_width()};
    if (at.inherited > 0) {
        gather_seen(call, at, call.k.f32(), scratch.v_panels);
        keys = values = {scratch.v_panels, hd};
    }
    pack_keys(kernels, keys.data, keys.ld, at.inherited + at.end, hd, scratch.k_panels);
    if (at.inherited > 0) gather_seen(call, at, call.v.f32(), scratch.v_panels);
    values = operand(values.data, values.ld, at.inherited + at.end, hd, scratch.copies[0]);

    for (int64_t block = at.begin; block < at.end; block += kQueryBlock) {
        const int64_t rows = std::min(kQueryBlock, at.end - block), first = at.inherited + block;
        float *const out = out_rows + block * q_width;
        const KeyRange seen_keys = keys_of_block(shape, first, rows);
        SoftmaxSum sums[kQueryBlock];
        for (int64_t from = seen_keys.begin; from < seen_keys.end; from += kKeyTile) {
            const int64_t to = std::min(from + kKeyTile, seen_keys.end);
            for (int64_t j = from; j < to; j += kPanel)
                score_panel(kernels, q_rows + block * q_width, q_width, rows, hd, scratch.k_panels, j, to,
                            scratch.scores + j - from, kKeyTile);
            for (int64_t r = 0; r < rows; ++r) {
                const KeyRange seen = within(keys_of_row(shape, first + r), from, to);
                const float shrink = kernels.softmax_tile(to - from, seen.begin, seen.end, shape.scale, shape.softcap,
                                                          scratch.scores + r * kKeyTile, Format::F32, &sums[r]);
                if (from > seen_keys.begin && shrink != 1.0f)
                    kernels.scale(hd, shrink, {out + r * q_width, Format::F32});
            }
            kernels.gemm({rows, hd, to - from, scratch.scores, kKeyTile, 1, values.data + from * values.ld, values.ld,
                          out, q_width, from > seen_keys.begin});
        }
        for (int64_t r = 0; r < rows; ++r) {
            kernels.scale(hd, static_cast<float>(1.0 / sums[r].sum), {out + r * q_width, Format::F32});
            call.lse[(at.first + block + r) * shape.n_head + at.head] = sums[r].log();
        }
    }
}

static void attention_head_backward(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at,
                                    const HeadScratch &scratch) {
    const AttentionShape &shape = call.shape;
    const int64_t n = at.n, hd = shape.head_dim, q_width = call.q_width(), kv_width = call.kv_width();
    const float *q = call.q.f32() + at.q, *dout = call.dout.f32() + at.q, *out = call.out.f32() + at.q;
    const float *k = call.k.f32() + at.kv;
    const int64_t first = at.begin, own = at.end - at.begin;
    pack_keys(kernels, k + first * kv_width, kv_width, own, hd, scratch.k_panels + first * hd);
    pack_keys(kernels, call.v.f32() + at.kv + first * kv_width, kv_width, own, hd, scratch.v_panels + first * hd);
    const Rows keys = operand(k, kv_width, n, hd, scratch.copies[0]);
    const Rows queries = operand(q, q_width, n, hd, scratch.copies[1]);
    const Rows grads = operand(dout, q_width, n, hd, scratch.copies[2]);
    float *dk = call.dk_heads + at.q, *dv = call.dv_heads + at.q, *dq = call.dq[at.part] + at.q;
    clear_head(own, hd, dk + first * q_width, dv + first * q_width, q_width);
    clear_blind_rows(shape, at, dq, q_width);
    // The first block of rows may begin before the part's first key.
    for (int64_t r = first / kQueryBlock * kQueryBlock; r < n; ++r)
        scratch.deltas[r] = kernels.dot(hd, dout + r * q_width, out + r * q_width);

    // A tile of keys and its gradients stay near while the rows that see it pass.
    for (int64_t tile = first; tile < at.end; tile += kKeyTile) {
        const int64_t last = last_row_of_key(shape, n, std::min(tile + kKeyTile, at.end) - 1);
        for (int64_t block = tile / kQueryBlock * kQueryBlock; block <= last; block += kQueryBlock) {
            const int64_t rows = std::min(kQueryBlock, n - block), row = block * q_width;
            const KeyRange seen_keys = keys_of_block(shape, block, rows);
            const int64_t from = std::max(seen_keys.begin, tile),
                          to = std::min({seen_keys.end, at.end, tile + kKeyTile});
            for (int64_t j = from; j < to; j += kPanel) {
                score_panel(kernels, q + row, q_width, rows, hd, scratch.k_panels, j, to, scratch.scores, kPanel);
                score_panel(kernels, dout + row, q_width, rows, hd, scratch.v_panels, j, to, scratch.d_scores, kPanel);
                softmax_backward_panel(kernels, call, at, block, rows, {j, std::min(j + kPanel, to)}, scratch.scores,
                                       scratch.d_scores, scratch.deltas, scratch.p + j - from, scratch.ds + j - from);
            }
            const float *p = scratch.p, *ds = scratch.ds;
            kernels.gemm({rows, hd, to - from, ds, kKeyTile, 1, keys.data + from * keys.ld, keys.ld, dq + row, q_width,
                          from > std::max(seen_keys.begin, first)});
            kernels.gemm({to - from, hd, rows, ds, 1, kKeyTile, queries.data + block * queries.ld, queries.ld,
                          dk + from * q_width, q_width, true});
            kernels.gemm({to - from, hd, rows, p, 1, kKeyTile, grads.data + block * grads.ld, grads.ld,
                          dv + from * q_width, q_width, true});
        }
    }
}

namespace {

// Most rows that a sequence sees.
int64_t longest(const Sequences &seqs) {
    int64_t length = 0;
    for (int64_t s = 0; s < seqs.count; ++s) length = std::max(length, seqs.inherited(s) + seqs.length(s));
    return length;
}

// Gradients of each head's keys and values, and of the queries of second parts.
size_t head_buffers(int64_t max_tokens) {
    return max_tokens > kLongestWhole ? 3 : 2;
}

template <typename Scratch>
size_t share_of(const AttentionShape &shape, int64_t max_tokens) {
    Arena measure;
    const Scratch scratch(measure, shape, max_tokens);
    return measure.used();
}

}  // namespace

int64_t CpuBackend::attention_scratch(const AttentionShape &shape, int64_t max_tokens, Format format) const {
    const size_t share =
        format == Format::F32 ? share_of<HeadScratch>(shape, max_tokens) : share_of<HeadScratchBf16>(shape, max_tokens);
    return static_cast<int64_t>(share) * pool_.size() +
           static_cast<int64_t>(head_buffers(max_tokens) *
                                align_up(static_cast<size_t>(max_tokens * shape.n_head * shape.head_dim) * 4));
}

// One item of work is one head of one sequence, or a part of it.
template <typename Scratch, typename Body>
void CpuBackend::each_head(const AttentionCall &call, char *scratch, int64_t (*cut)(const AttentionShape &, int64_t),
                           const Body &body) {
    const AttentionShape &shape = call.shape;
    const int64_t length = longest(call.seqs);
    const size_t share = share_of<Scratch>(shape, length);
    const int parts = length > kLongestWhole ? 2 : 1;
    pool_.each(call.seqs.count * shape.n_head * parts, [&](int64_t item, int thread) {
        Arena arena(scratch + static_cast<size_t>(thread) * share, share);
        const Scratch own(arena, shape, length);
        AttentionItem at;
        at.part = static_cast<int>(item % parts);
        at.head = item / parts % shape.n_head;
        at.sequence = item / parts / shape.n_head;
        at.first = call.seqs.offsets[at.sequence];
        at.n = call.seqs.length(at.sequence);
        at.inherited = call.seqs.inherited(at.sequence);
        at.q = at.first * call.q_width() + at.head * shape.head_dim;
        at.kv = at.first * call.kv_width() + at.head / (shape.n_head / shape.n_head_kv) * shape.head_dim;
        const int64_t middle = cut(shape, at.n);
        at.begin = at.part == 0 ? 0 : middle;
        at.end = at.part == 0 ? middle : at.n;
        if (at.begin < at.end) body(kernels_, call, at, own);
    });
}

void CpuBackend::attention(const AttentionShape &shape, const Sequences &seqs, ConstValues q, ConstValues k,
                           ConstValues v, Values out, float *lse, void *scratch) {
    moved(seqs.tokens() * 2 * (shape.n_head + shape.n_head_kv) * shape.head_dim * bytes_of(q.format));
    const AttentionCall call{shape, seqs, q, k, v, out, lse, {}, {}, nullptr, nullptr};
    if (q.rounded())
        each_head<HeadScratchBf16>(call, static_cast<char *>(scratch), first_row_of_second, attention_head_bf16);
    else
        each_head<HeadScratch>(call, static_cast<char *>(scratch), first_row_of_second, attention_head);
}

void CpuBackend::attention_backward(const AttentionShape &shape, const Sequences &seqs, ConstValues q, ConstValues k,
                                    ConstValues v, ConstValues out, const float *lse, ConstValues dout, float *dq,
                                    float *dk, float *dv, void *scratch) {
    const int64_t T = seqs.tokens(), hd = shape.head_dim;
    moved(T * (3 * shape.n_head + 2 * shape.n_head_kv) * hd * bytes_of(q.format) +
          T * (shape.n_head + 2 * shape.n_head_kv) * hd * 4);
    const size_t head_bytes = align_up(static_cast<size_t>(T * shape.n_head * hd) * sizeof(float));
    char *const base = static_cast<char *>(scratch);
    float *const dk_heads = reinterpret_cast<float *>(base);
    float *const dv_heads = reinterpret_cast<float *>(base + head_bytes);
    const size_t buffers = head_buffers(T);
    float *const dq_second = buffers > 2 ? reinterpret_cast<float *>(base + 2 * head_bytes) : nullptr;
    // The outputs of the forward are only read here.
    const Values forward_out{const_cast<void *>(out.data), out.format};
    const AttentionCall call{shape,           seqs,     q,       k, v, forward_out, const_cast<float *>(lse), dout,
                             {dq, dq_second}, dk_heads, dv_heads};
    if (q.rounded())
        each_head<HeadScratchBf16>(call, base + buffers * head_bytes, first_key_of_second,
                                   attention_head_backward_bf16);
    else
        each_head<HeadScratch>(call, base + buffers * head_bytes, first_key_of_second, attention_head_backward);
    for (int64_t i = 0; i < seqs.count; ++i) {
        const int64_t middle = first_key_of_second(shape, seqs.length(i)),
                      begin = (seqs.offsets[i] + middle) * shape.n_head * hd;
        pool_.split(seqs.length(i) - middle, [&](int64_t from, int64_t to, int) {
            const int64_t at = begin + from * shape.n_head * hd;
            kernels_.add((to - from) * shape.n_head * hd, dq_second + at, dq + at);
        });
    }
    // Query heads that share a key head add their gradients in head order.
    const int64_t group = shape.n_head / shape.n_head_kv;
    pool_.split(T, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = begin; t < end; ++t)
            for (int64_t kv = 0; kv < shape.n_head_kv; ++kv) {
                float *to_k = dk + (t * shape.n_head_kv + kv) * hd, *to_v = dv + (t * shape.n_head_kv + kv) * hd;
                const float *from_k = dk_heads + (t * shape.n_head + kv * group) * hd;
                const float *from_v = dv_heads + (t * shape.n_head + kv * group) * hd;
                std::memcpy(to_k, from_k, static_cast<size_t>(hd) * sizeof(float));
                std::memcpy(to_v, from_v, static_cast<size_t>(hd) * sizeof(float));
                for (int64_t h = 1; h < group; ++h) {
                    kernels_.add(hd, from_k + h * hd, to_k);
                    kernels_.add(hd, from_v + h * hd, to_v);
                }
            }
    });
}

}  // namespace slm
