// What the loops of attention share: one call, one item of its work, and which keys a query sees.
#pragma once

#include <algorithm>
#include <cstring>

#include "cpu/cpu_backend.hpp"

namespace slm {

inline constexpr int64_t kQueryBlock = 48;

inline int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

struct AttentionCall {
    const AttentionShape &shape;
    const Sequences &seqs;
    ConstValues q, k, v;
    Values out;
    float *lse;
    ConstValues dout;  // from here on the backward's
    float *dq;
    float *dk_heads, *dv_heads;  // [T, n_head * head_dim]

    int64_t q_width() const { return shape.n_head * shape.head_dim; }
    int64_t kv_width() const { return shape.n_head_kv * shape.head_dim; }
};

// One head of one sequence: rows first .. first + n, values at these offsets. The rows of its ancestors come before.
struct AttentionItem {
    int64_t sequence, head, first, n, q, kv;
    int64_t inherited;  // rows of the ancestors
    int64_t seen() const { return inherited + n; }
};

// One head of all rows that a sequence sees, ancestors first, as out[seen, head_dim]; x and `at` as in the call.
template <typename T>
void gather_seen(const AttentionCall &call, const AttentionItem &at, const T *x, T *out) {
    const int64_t hd = call.shape.head_dim, ld = call.kv_width();
    int64_t end = at.seen();
    for (int64_t s = at.sequence; s >= 0; s = call.seqs.parent(s)) {
        const T *from = x + at.kv + (call.seqs.offsets[s] - at.first) * ld;
        end -= call.seqs.length(s);
        for (int64_t i = 0; i < call.seqs.length(s); ++i)
            std::memcpy(out + (end + i) * hd, from + i * ld, static_cast<size_t>(hd) * sizeof(T));
    }
}

struct KeyRange {
    int64_t begin, end;
};

inline KeyRange keys_of_row(const AttentionShape &shape, int64_t row) {
    return {shape.window > 0 ? std::max<int64_t>(0, row - shape.window + 1) : 0, row + 1};
}

inline KeyRange keys_of_block(const AttentionShape &shape, int64_t first, int64_t rows) {
    return {keys_of_row(shape, first).begin / kPanel * kPanel, first + rows};
}

inline void clear_head(int64_t n, int64_t head_dim, float *dk, float *dv, int64_t ld) {
    for (int64_t i = 0; i < n; ++i) {
        std::memset(dk + i * ld, 0, static_cast<size_t>(head_dim) * sizeof(float));
        std::memset(dv + i * ld, 0, static_cast<size_t>(head_dim) * sizeof(float));
    }
}

// One thread's work space for rounded values.
struct HeadScratchBf16 {
    uint16_t *k_panels, *v_panels;   // panels of 64 keys, pairs along the head
    uint16_t *pairs;                 // pairs along keys, panels of 64 of the head's values
    uint16_t *q_pairs, *d_pairs;     // a block of queries and of output gradients, pairs along rows
    uint16_t *p_turned, *ds_turned;  // [keys, kQueryBlock]
    float *scores, *d_scores;        // [kQueryBlock, ld]
    float *out;                      // [kQueryBlock, head_dim]
    int64_t ld;

    HeadScratchBf16(Arena &arena, const AttentionShape &shape, int64_t max_tokens) {
        ld = round_up(max_tokens, kPanel);
        const int64_t padded = round_up(shape.head_dim, kPanel);
        k_panels = arena.take<uint16_t>(ld * shape.head_dim);
        v_panels = arena.take<uint16_t>(ld * shape.head_dim);
        pairs = arena.take<uint16_t>(ld * padded);
        q_pairs = arena.take<uint16_t>(kQueryBlock * padded);
        d_pairs = arena.take<uint16_t>(kQueryBlock * padded);
        p_turned = arena.take<uint16_t>(kQueryBlock * ld);
        ds_turned = arena.take<uint16_t>(kQueryBlock * ld);
        scores = arena.take<float>(kQueryBlock * ld);
        d_scores = arena.take<float>(kQueryBlock * ld);
        out = arena.take<float>(kQueryBlock * shape.head_dim);
    }
};

void attention_head_bf16(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at,
                         const HeadScratchBf16 &scratch);
void attention_head_backward_bf16(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at,
                                  const HeadScratchBf16 &scratch);

}  // namespace slm
