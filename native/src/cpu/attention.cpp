// Causal attention over packed sequences. A block of query rows sees its keys at once: scores are [kQueryBlock, keys],
// never [T, T]. One item of work is one head of one sequence, so a result does not depend on what else is in the batch.
#include <algorithm>
#include <cstring>

#include "cpu/cpu_backend.hpp"

namespace slm {

namespace {

constexpr int64_t kQueryBlock = 48;

int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

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

struct KeyRange {
    int64_t begin, end;
};

KeyRange keys_of_row(const AttentionShape &shape, int64_t row) {
    return {shape.window > 0 ? std::max<int64_t>(0, row - shape.window + 1) : 0, row + 1};
}

KeyRange keys_of_block(const AttentionShape &shape, int64_t first, int64_t rows) {
    return {keys_of_row(shape, first).begin / kPanel * kPanel, first + rows};
}

}  // namespace

struct CpuBackend::AttentionScratch {
    float *k_panels, *v_panels, *scores, *d_scores, *copies[4], *delta;
    float *dk = nullptr, *dv = nullptr;  // [T, n_head * head_dim], shared by all threads
    int64_t ld;

    AttentionScratch(Arena &arena, const AttentionShape &shape, int64_t max_tokens) {
        ld = round_up(max_tokens, kPanel);
        const int64_t padded = round_up(shape.head_dim, 16);
        k_panels = arena.take<float>(ld * shape.head_dim);
        v_panels = arena.take<float>(ld * shape.head_dim);
        scores = arena.take<float>(kQueryBlock * ld);
        d_scores = arena.take<float>(kQueryBlock * ld);
        for (float *&copy : copies) copy = shape.head_dim % 16 == 0 ? nullptr : arena.take<float>(ld * padded);
        delta = arena.take<float>(kQueryBlock);
    }
};

int64_t CpuBackend::attention_scratch(const AttentionShape &shape, int64_t max_tokens) const {
    Arena arena;
    AttentionScratch(arena, shape, max_tokens);
    return static_cast<int64_t>(arena.used()) * pool_.size() +
           static_cast<int64_t>(2 * align_up(static_cast<size_t>(max_tokens * shape.n_head * shape.head_dim) * 4));
}

namespace {

int64_t longest(const Sequences &seqs) {
    int64_t length = 0;
    for (int64_t s = 0; s < seqs.count; ++s) length = std::max(length, seqs.offsets[s + 1] - seqs.offsets[s]);
    return length;
}

}  // namespace

void CpuBackend::attention_head(const AttentionShape &shape, const Sequences &seqs, int64_t sequence, int64_t head,
                                const float *q, const float *k, const float *v, float *out, float *lse,
                                const AttentionScratch &scratch) const {
    const int64_t first = seqs.offsets[sequence], n = seqs.offsets[sequence + 1] - first, hd = shape.head_dim;
    const int64_t q_width = shape.n_head * hd, kv_width = shape.n_head_kv * hd;
    const int64_t kv_head = head / (shape.n_head / shape.n_head_kv);
    const float *q_rows = q + first * q_width + head * hd;
    const float *v_rows = v + first * kv_width + kv_head * hd;
    float *out_rows = out + first * q_width + head * hd;
    pack_keys(kernels_, k + first * kv_width + kv_head * hd, kv_width, n, hd, scratch.k_panels);
    const Rows values = operand(v_rows, kv_width, n, hd, scratch.copies[0]);

    for (int64_t block = 0; block < n; block += kQueryBlock) {
        const int64_t rows = std::min(kQueryBlock, n - block);
        const auto [begin, end] = keys_of_block(shape, block, rows);
        score_block(kernels_, q_rows + block * q_width, q_width, rows, hd, scratch.k_panels, begin, end, scratch.scores,
                    scratch.ld);
        for (int64_t r = 0; r < rows; ++r) {
            const KeyRange seen = keys_of_row(shape, block + r);
            lse[(first + block + r) * shape.n_head + head] =
                kernels_.softmax_row(end - begin, seen.begin - begin, seen.end - begin, shape.scale, shape.softcap,
                                     scratch.scores + r * scratch.ld + begin);
        }
        kernels_.gemm({rows, hd, end - begin, scratch.scores + begin, scratch.ld, 1, values.data + begin * values.ld,
                       values.ld, out_rows + block * q_width, q_width, false});
    }
}

void CpuBackend::attention_head_backward(const AttentionShape &shape, const Sequences &seqs, int64_t sequence,
                                         int64_t head, const float *q, const float *k, const float *v, const float *out,
                                         const float *lse, const float *dout, float *dq,
                                         const AttentionScratch &scratch) const {
    const int64_t first = seqs.offsets[sequence], n = seqs.offsets[sequence + 1] - first, hd = shape.head_dim;
    const int64_t q_width = shape.n_head * hd, kv_width = shape.n_head_kv * hd;
    const int64_t kv_head = head / (shape.n_head / shape.n_head_kv);
    const int64_t q_at = first * q_width + head * hd, kv_at = first * kv_width + kv_head * hd;
    pack_keys(kernels_, k + kv_at, kv_width, n, hd, scratch.k_panels);
    pack_keys(kernels_, v + kv_at, kv_width, n, hd, scratch.v_panels);
    const Rows keys = operand(k + kv_at, kv_width, n, hd, scratch.copies[0]);
    const Rows queries = operand(q + q_at, q_width, n, hd, scratch.copies[1]);
    const Rows grads = operand(dout + q_at, q_width, n, hd, scratch.copies[2]);
    float *dk = scratch.dk + q_at, *dv = scratch.dv + q_at;
    for (int64_t i = 0; i < n; ++i) {
        std::memset(dk + i * q_width, 0, static_cast<size_t>(hd) * sizeof(float));
        std::memset(dv + i * q_width, 0, static_cast<size_t>(hd) * sizeof(float));
    }

    for (int64_t block = 0; block < n; block += kQueryBlock) {
        const int64_t rows = std::min(kQueryBlock, n - block), at = q_at + block * q_width;
        const auto [begin, end] = keys_of_block(shape, block, rows);
        // forward: P = softmax(scale q k^T), out = P v
        score_block(kernels_, q + at, q_width, rows, hd, scratch.k_panels, begin, end, scratch.scores, scratch.ld);
        score_block(kernels_, dout + at, q_width, rows, hd, scratch.v_panels, begin, end, scratch.d_scores, scratch.ld);
        for (int64_t r = 0; r < rows; ++r) {
            const KeyRange seen = keys_of_row(shape, block + r);
            const float delta = kernels_.dot(hd, dout + at + r * q_width, out + at + r * q_width);
            kernels_.softmax_row_backward(end - begin, seen.begin - begin, seen.end - begin, shape.scale, shape.softcap,
                                          lse[(first + block + r) * shape.n_head + head], delta,
                                          scratch.scores + r * scratch.ld + begin,
                                          scratch.d_scores + r * scratch.ld + begin);
        }
        const float *p = scratch.scores + begin, *ds = scratch.d_scores + begin;
        kernels_.gemm(
            {rows, hd, end - begin, ds, scratch.ld, 1, keys.data + begin * keys.ld, keys.ld, dq + at, q_width, false});
        kernels_.gemm({end - begin, hd, rows, ds, 1, scratch.ld, queries.data + block * queries.ld, queries.ld,
                       dk + begin * q_width, q_width, true});
        kernels_.gemm({end - begin, hd, rows, p, 1, scratch.ld, grads.data + block * grads.ld, grads.ld,
                       dv + begin * q_width, q_width, true});
    }
}

void CpuBackend::attention(const AttentionShape &shape, const Sequences &seqs, const float *q, const float *k,
                           const float *v, float *out, float *lse, void *scratch) {
    const int64_t longest_sequence = longest(seqs);
    Arena measure;
    const size_t share = (AttentionScratch(measure, shape, longest_sequence), measure.used());
    pool_.each(seqs.count * shape.n_head, [&](int64_t item, int thread) {
        Arena arena(static_cast<char *>(scratch) + static_cast<size_t>(thread) * share, share);
        const AttentionScratch own(arena, shape, longest_sequence);
        attention_head(shape, seqs, item / shape.n_head, item % shape.n_head, q, k, v, out, lse, own);
    });
}

void CpuBackend::attention_backward(const AttentionShape &shape, const Sequences &seqs, const float *q, const float *k,
                                    const float *v, const float *out, const float *lse, const float *dout, float *dq,
                                    float *dk, float *dv, void *scratch) {
    const int64_t longest_sequence = longest(seqs), T = seqs.tokens(), hd = shape.head_dim;
    Arena measure;
    const size_t share = (AttentionScratch(measure, shape, longest_sequence), measure.used());
    const size_t head_bytes = align_up(static_cast<size_t>(T * shape.n_head * hd) * sizeof(float));
    char *const base = static_cast<char *>(scratch);
    float *const dk_heads = reinterpret_cast<float *>(base);
    float *const dv_heads = reinterpret_cast<float *>(base + head_bytes);
    pool_.each(seqs.count * shape.n_head, [&](int64_t item, int thread) {
        Arena arena(base + 2 * head_bytes + static_cast<size_t>(thread) * share, share);
        AttentionScratch own(arena, shape, longest_sequence);
        own.dk = dk_heads;
        own.dv = dv_heads;
        attention_head_backward(shape, seqs, item / shape.n_head, item % shape.n_head, q, k, v, out, lse, dout, dq,
                                own);
    });
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
