// What the loops of attention share: one call, one item of its work, and which keys a query sees.
#pragma once

#include <algorithm>
#include <cstring>

#include "cpu/cpu_backend.hpp"

namespace slm {

inline constexpr int64_t kQueryBlock = 48;
inline constexpr int64_t kKeyTile = 512;  // scores of a block against a tile, and all that is made of them, stay in L2

inline int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

struct AttentionCall {
    const AttentionShape &shape;
    const Sequences &seqs;
    ConstValues q, k, v;
    Values out;
    float *lse;
    ConstValues dout;            // from here on the backward's
    float *dq[2];                // of the keys before and from first_key_of_second
    float *dk_heads, *dv_heads;  // [T, n_head * head_dim]

    int64_t q_width() const { return shape.n_head * shape.head_dim; }
    int64_t kv_width() const { return shape.n_head_kv * shape.head_dim; }
};

// One head of one sequence, or one of two parts of it: rows first .. first + n, values at these offsets. The rows of
// its ancestors come before.
struct AttentionItem {
    int64_t sequence, head, first, n, q, kv;
    int64_t inherited;  // rows of the ancestors
    int part;
    int64_t begin, end;  // the part: rows in the forward, keys in the backward
    int64_t seen() const { return inherited + n; }
};

// Where a long head is cut in two of about the same work, so that few heads keep many threads busy: by its length
// alone, as the cut decides in which order sums are taken.
inline constexpr int64_t kLongestWhole = 1024;
inline int64_t first_row_of_second(const AttentionShape &shape, int64_t n) {
    if (n <= kLongestWhole) return n;
    return (shape.window > 0 ? n / 2 : n * 7 / 10) / kQueryBlock * kQueryBlock;
}
inline int64_t first_key_of_second(const AttentionShape &shape, int64_t n) {
    if (n <= kLongestWhole) return n;
    return std::max(kKeyTile, (shape.window > 0 ? n / 2 : n * 3 / 10) / kKeyTile * kKeyTile);
}

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

inline KeyRange keys_of_row(const AttentionShape &shape, int64_t row) {
    return {shape.window > 0 ? std::max<int64_t>(0, row - shape.window + 1) : 0, row + 1};
}

inline KeyRange keys_of_block(const AttentionShape &shape, int64_t first, int64_t rows) {
    return {keys_of_row(shape, first).begin / kPanel * kPanel, first + rows};
}

// Counted from the first key of a tile.
inline KeyRange within(KeyRange keys, int64_t from, int64_t to) {
    const int64_t begin = std::clamp(keys.begin, from, to), end = std::clamp(keys.end, begin, to);
    return {begin - from, end - from};
}

inline int64_t last_row_of_key(const AttentionShape &shape, int64_t n, int64_t key) {
    return shape.window > 0 ? std::min(n, key + shape.window) - 1 : n - 1;
}

// Rows whose window lies behind the part's keys get nothing from them.
inline void clear_blind_rows(const AttentionShape &shape, const AttentionItem &at, float *dq, int64_t ld) {
    const int64_t last = last_row_of_key(shape, at.n, at.end - 1);
    for (int64_t r = (last / kQueryBlock + 1) * kQueryBlock; r < at.n; ++r)
        std::memset(dq + r * ld, 0, static_cast<size_t>(shape.head_dim) * sizeof(float));
}

inline void clear_head(int64_t n, int64_t head_dim, float *dk, float *dv, int64_t ld) {
    for (int64_t i = 0; i < n; ++i) {
        std::memset(dk + i * ld, 0, static_cast<size_t>(head_dim) * sizeof(float));
        std::memset(dv + i * ld, 0, static_cast<size_t>(head_dim) * sizeof(float));
    }
}

// The backward of these keys' probabilities, of the rows from `block` on; p and ds are tiles of kKeyTile keys. In bf16
// a zero follows an odd number of keys.
template <typename T>
void softmax_backward_panel(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at, int64_t block,
                            int64_t rows, KeyRange keys, const float *scores, const float *d_scores,
                            const float *deltas, T *p, T *ds) {
    const AttentionShape &shape = call.shape;
    KeyRange seen[kQueryBlock];
    for (int64_t r = 0; r < rows; ++r) seen[r] = within(keys_of_row(shape, block + r), keys.begin, keys.end);
    const int64_t n = keys.end - keys.begin;
    kernels.softmax_backward({rows, Values(p).rounded() ? round_up(n, 2) : n, seen, shape.scale, shape.softcap,
                              call.lse + (at.first + block) * shape.n_head + at.head, shape.n_head, deltas + block,
                              scores, d_scores, p, ds, kKeyTile});
}

// One thread's work space for rounded values.
struct HeadScratchBf16 {
    uint16_t *k_panels, *v_panels;        // panels of 64 keys, pairs along the head
    uint16_t *pairs, *q_pairs, *d_pairs;  // pairs along rows, panels of 64 of the head's values: k or v, q, dout
    uint16_t *p_turned, *ds_turned;       // [kKeyTile, kQueryBlock]
    float *scores, *d_scores;             // [kQueryBlock, kKeyTile] forward, [kQueryBlock, kPanel] backward
    uint16_t *p, *ds;                     // [kQueryBlock, kKeyTile] of the backward
    float *deltas;                        // of each row, dout . out
    float *out;                           // [kQueryBlock, head_dim]
    int64_t ld;

    HeadScratchBf16(Arena &arena, const AttentionShape &shape, int64_t max_tokens) {
        ld = round_up(max_tokens, kPanel);
        const int64_t padded = round_up(shape.head_dim, kPanel);
        for (uint16_t **panels : {&k_panels, &v_panels}) *panels = arena.take<uint16_t>(ld * shape.head_dim);
        for (uint16_t **panels : {&pairs, &q_pairs, &d_pairs}) *panels = arena.take<uint16_t>(ld * padded);
        for (uint16_t **turned : {&p_turned, &ds_turned}) *turned = arena.take<uint16_t>(kQueryBlock * kKeyTile);
        scores = arena.take<float>(kQueryBlock * kKeyTile);
        d_scores = arena.take<float>(kQueryBlock * kPanel);
        for (uint16_t **tile : {&p, &ds}) *tile = arena.take<uint16_t>(kQueryBlock * kKeyTile);
        deltas = arena.take<float>(ld);
        out = arena.take<float>(kQueryBlock * shape.head_dim);
    }
};

void attention_head_bf16(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at,
                         const HeadScratchBf16 &scratch);
void attention_head_backward_bf16(const Kernels &kernels, const AttentionCall &call, const AttentionItem &at,
                                  const HeadScratchBf16 &scratch);

}  // namespace slm
