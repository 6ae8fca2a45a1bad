// Causal attention over packed sequences. A block of query rows sees its keys at once: scores are [kQueryBlock, keys],
// never [T, T]. One item of work is one head of one sequence, so a result does not depend on what else is in the batch.
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

// scores[rows, begin..end) = x k^T for the panels that cover the range.
void score_block(const Kernels &kernels, const float *x, int64_t ldx, int64_t rows, int64_t head_dim,
                 const float *panels, int64_t begin, int64_t end, float *scores, int64_t ld) {
    for (int64_t j = begin; j < end; j += kPanel)
        kernels.gemm({rows, std::min<int64_t>(kPanel, round_up(end - j, 16)), head_dim, x, ldx, 1,
                      panels + j / kPanel * head_dim * kPanel, kPanel, scores + j, ld, false});
}

}  // namespace

// One thread's work space.
struct HeadScratch {
    float *k_panels, *v_panels, *scores, *d_scores, *copies[3];
    int64_t ld;

    HeadScratch(Arena &arena, const AttentionShape &shape, int64_t max_tokens) {
        ld = round_up(max_tokens, kPanel);
        const int64_t padded = round_up(shape.head_dim, 16);
        k_panels = arena.take<float>(ld * shape.head_dim);
        v_panels = arena.take<float>(ld * shape.head_dim);
        scores = arena.take<float>(kQueryBlock * ld);
        d_scores = arena.take<float>(kQueryBlock * ld);
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
    pack_keys(kernels, keys.data, keys.ld, at.seen(), hd, scratch.k_panels);
    if (at.inherited > 0) gather_seen(call, at, call.v.f32(), scratch.v_panels);
    values = operand(values.data, values.ld, at.seen(), hd, scratch.copies[0]);

    for (int64_t block = 0; block < at.n; block += kQueryBlock) {
        const int64_t rows = std::min(kQueryBlock, at.n - block), row = at.inherited + block;
        const auto [begin, end] = keys_of_block(shape, row, rows);
        score_block(kernels, q_rows + block * q_width, q_width, rows, hd, scratch.k_panels, begin, end, scratch.scores,
                    scratch.ld);
        for (int64_t r = 0; r < rows; ++r) {
            const KeyRange seen = keys_of_row(shape, row + r);
            call.lse[(at.first + block + r) * shape.n_head + at.head] =
                kernels.softmax_row(end - begin, seen.begin - begin, seen.end - begin, shape.scale, shape.softcap,
                                    scratch.scores + r * scratch.ld + begin);
        }
        kernels.gemm({rows, hd, end - begin, scratch.scores + begin, scratch.ld, 1, values.data + begin * values.ld,
                      values.ld, out_rows + block * q_width, q_width, false});
    }
}

static void attention_head_backward(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at,
                                    const HeadScratch &scratch) {
    const AttentionShape &shape = call.shape;
    const int64_t n = at.n, hd = shape.head_dim, q_width = call.q_width(), kv_width = call.kv_width();
    const float *q = call.q.f32() + at.q, *dout = call.dout.f32() + at.q, *out = call.out.f32() + at.q;
    const float *k = call.k.f32() + at.kv;
    pack_keys(kernels, k, kv_width, n, hd, scratch.k_panels);
    pack_keys(kernels, call.v.f32() + at.kv, kv_width, n, hd, scratch.v_panels);
    const Rows keys = operand(k, kv_width, n, hd, scratch.copies[0]);
    const Rows queries = operand(q, q_width, n, hd, scratch.copies[1]);
    const Rows grads = operand(dout, q_width, n, hd, scratch.copies[2]);
    float *dk = call.dk_heads + at.q, *dv = call.dv_heads + at.q, *dq = call.dq + at.q;
    clear_head(n, hd, dk, dv, q_width);

    for (int64_t block = 0; block < n; block += kQueryBlock) {
        const int64_t rows = std::min(kQueryBlock, n - block), row = block * q_width;
        const auto [begin, end] = keys_of_block(shape, block, rows);
        score_block(kernels, q + row, q_width, rows, hd, scratch.k_panels, begin, end, scratch.scores, scratch.ld);
        score_block(kernels, dout + row, q_width, rows, hd, scratch.v_panels, begin, end, scratch.d_scores, scratch.ld);
        for (int64_t r = 0; r < rows; ++r) {
            const KeyRange seen = keys_of_row(shape, block + r);
            const float delta = kernels.dot(hd, dout + row + r * q_width, out + row + r * q_width);
            kernels.softmax_row_backward(end - begin, seen.begin - begin, seen.end - begin, shape.scale, shape.softcap,
                                         call.lse[(at.first + block + r) * shape.n_head + at.head], delta,
                                         scratch.scores + r * scratch.ld + begin,
                                         scratch.d_scores + r * scratch.ld + begin);
        }
        const float *p = scratch.scores + begin, *ds = scratch.d_scores + begin;
        kernels.gemm(
            {rows, hd, end - begin, ds, scratch.ld, 1, keys.data + begin * keys.ld, keys.ld, dq + row, q_width, false});
        kernels.gemm({end - begin, hd, rows, ds, 1, scratch.ld, queries.data + block * queries.ld, queries.ld,
                      dk + begin * q_width, q_width, true});
        kernels.gemm({end - begin, hd, rows, p, 1, scratch.ld, grads.data + block * grads.ld, grads.ld,
                      dv + begin * q_width, q_width, true});
    }
}

namespace {

// Most rows that a sequence sees.
int64_t longest(const Sequences &seqs) {
    int64_t length = 0;
    for (int64_t s = 0; s < seqs.count; ++s) length = std::max(length, seqs.inherited(s) + seqs.length(s));
    return length;
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
           static_cast<int64_t>(2 * align_up(static_cast<size_t>(max_tokens * shape.n_head * shape.head_dim) * 4));
}

// One item of work is one head of one sequence.
template <typename Scratch, typename Body>
void CpuBackend::each_head(const AttentionCall &call, char *scratch, const Body &body) {
    const AttentionShape &shape = call.shape;
    const int64_t length = longest(call.seqs);
    const size_t share = share_of<Scratch>(shape, length);
    pool_.each(call.seqs.count * shape.n_head, [&](int64_t item, int thread) {
        Arena arena(scratch + static_cast<size_t>(thread) * share, share);
        const Scratch own(arena, shape, length);
        AttentionItem at;
        at.head = item % shape.n_head;
        at.sequence = item / shape.n_head;
        at.first = call.seqs.offsets[at.sequence];
        at.n = call.seqs.length(at.sequence);
        at.inherited = call.seqs.inherited(at.sequence);
        at.q = at.first * call.q_width() + at.head * shape.head_dim;
        at.kv = at.first * call.kv_width() + at.head / (shape.n_head / shape.n_head_kv) * shape.head_dim;
        body(kernels_, call, at, own);
    });
}

void CpuBackend::attention(const AttentionShape &shape, const Sequences &seqs, ConstValues q, ConstValues k,
                           ConstValues v, Values out, float *lse, void *scratch) {
    moved(seqs.tokens() * 2 * (shape.n_head + shape.n_head_kv) * shape.head_dim * bytes_of(q.format));
    const AttentionCall call{shape, seqs, q, k, v, out, lse, {}, nullptr, nullptr, nullptr};
    if (q.rounded())
        each_head<HeadScratchBf16>(call, static_cast<char *>(scratch), attention_head_bf16);
    else
        each_head<HeadScratch>(call, static_cast<char *>(scratch), attention_head);
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
    // The outputs of the forward are only read here.
    const Values forward_out{const_cast<void *>(out.data), out.format};
    const AttentionCall call{shape, seqs, q, k, v, forward_out, const_cast<float *>(lse), dout, dq, dk_heads, dv_heads};
    if (q.rounded())
        each_head<HeadScratchBf16>(call, base + 2 * head_bytes, attention_head_backward_bf16);
    else
        each_head<HeadScratch>(call, base + 2 * head_bytes, attention_head_backward);
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
