// Row-wise loops: norms, gates, softmax, loss, optimizer. Sums have a fixed order for a given length.
#pragma once

#include <cmath>

#include "core/random.hpp"
#include "cpu/kernels.hpp"
#include "cpu/simd.hpp"

namespace slm {
namespace {

// Calls body(offset, count) for whole vectors, then once for the rest with count < kLanes.
template <typename Body>
static inline void for_vectors(int64_t n, const Body &body) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) body(i, static_cast<int64_t>(kLanes));
    if (i < n) body(i, n - i);
}

template <typename T>
static inline vf take(const T *p, int64_t count) {
    return count == kLanes ? load(p) : load_part(p, count);
}
template <typename T>
static inline void put(T *p, int64_t count, vf v) {
    if (count == kLanes)
        store(p, v);
    else
        store_part(p, count, v);
}

// Calls body with the pointer of the values' own type: one loop, compiled for each format.
template <typename Body>
static inline auto typed(ConstValues x, const Body &body) {
    return x.rounded() ? body(x.bf16()) : body(x.f32());
}
template <typename Body>
static inline auto typed(Values x, const Body &body) {
    return x.rounded() ? body(x.bf16()) : body(x.f32());
}

static void copy(int64_t n, ConstValues x, Values y) {
    if (x.format == y.format) {
        std::memmove(y.data, x.data, static_cast<size_t>(n * bytes_of(x.format)));
        return;
    }
    typed(x, [&](const auto *from) {
        typed(y, [&](auto *to) {
            for_vectors(n, [&](int64_t i, int64_t count) { put(to + i, count, take(from + i, count)); });
        });
    });
}

template <typename T>
static inline float dot(int64_t n, const T *x, const T *y) {
    vf sum{};
    for_vectors(n, [&](int64_t i, int64_t count) { sum = fma(take(x + i, count), take(y + i, count), sum); });
    return sum_lanes(sum);
}

static float dot_values(int64_t n, ConstValues x, ConstValues y) {
    return x.rounded() ? dot(n, x.bf16(), y.bf16()) : dot(n, x.f32(), y.f32());
}

template <typename T>
static inline double sum_squares_of(int64_t n, const T *x) {
    constexpr int64_t block = 1024;  // f32 partial sums stay short
    double total = 0;
    for (int64_t i = 0; i < n; i += block) total += dot(n - i < block ? n - i : block, x + i, x + i);
    return total;
}

static double sum_squares(int64_t n, const float *x) {
    return sum_squares_of(n, x);
}

static float rms_norm(int64_t n, float eps, ConstValues x, const float *g, Values y) {
    return typed(x, [&](const auto *from) {
        const float rstd = static_cast<float>(1.0 / std::sqrt(sum_squares_of(n, from) / static_cast<double>(n) + eps));
        typed(y, [&](auto *to) {
            for_vectors(n, [&](int64_t i, int64_t count) {
                put(to + i, count, take(from + i, count) * rstd * take(g + i, count));
            });
        });
        return rstd;
    });
}

// forward: y = g * xhat, xhat = x / rms
static void rms_norm_backward(int64_t n, float rstd, ConstValues values, const float *g, const float *dy, float *dx) {
    typed(values, [&](const auto *x) {
        vf sum{};
        for_vectors(n, [&](int64_t i, int64_t count) {
            sum = fma(take(g + i, count) * take(dy + i, count), take(x + i, count) * rstd, sum);
        });
        const float mean = sum_lanes(sum) / static_cast<float>(n);
        for_vectors(n, [&](int64_t i, int64_t count) {
            const vf term = take(g + i, count) * take(dy + i, count) - take(x + i, count) * rstd * mean;
            put(dx + i, count, fma(term, set1(rstd), take(dx + i, count)));
        });
    });
}

static void rms_norm_weight_backward(int64_t n, float rstd, ConstValues values, const float *dy, float *dg) {
    typed(values, [&](const auto *x) {
        for_vectors(n, [&](int64_t i, int64_t count) {
            put(dg + i, count, fma(take(dy + i, count), take(x + i, count) * rstd, take(dg + i, count)));
        });
    });
}

constexpr float kGeluA = 0.797884560802865f;  // sqrt(2/pi)
constexpr float kGeluB = 0.044715f;

// 0.5 (1 + tanh(z)) is sigmoid(2 z), which keeps its digits where tanh is near -1.
static inline vf gelu_gate(vf x) {
    return sigmoid(2.0f * x * kGeluA * (1.0f + kGeluB * x * x));
}

static void glu(slm_activation activation, int64_t n, ConstValues gates, ConstValues ups, Values out) {
    typed(gates, [&](const auto *gate) {
        const auto *up = static_cast<decltype(gate)>(ups.data);
        typed(out, [&](auto *y) {
            for_vectors(n, [&](int64_t i, int64_t count) {
                const vf g = take(gate + i, count), u = take(up + i, count);
                const vf act = g * (activation == SLM_ACTIVATION_SILU ? sigmoid(g) : gelu_gate(g));
                put(y + i, count, act * u);
            });
        });
    });
}

// forward: y = act(gate) * up
static void glu_backward(slm_activation activation, int64_t n, ConstValues dys, Values gates, Values ups) {
    typed(gates, [&](auto *gate) {
        auto *up = static_cast<decltype(gate)>(ups.data);
        typed(dys, [&](const auto *dy) {
            for_vectors(n, [&](int64_t i, int64_t count) {
                const vf g = take(gate + i, count), u = take(up + i, count), d = take(dy + i, count);
                // d (g s(z)) / dg = s + g s (1 - s) dz/dg, z = g or twice the inner polynomial of the tanh form
                const bool silu = activation == SLM_ACTIVATION_SILU;
                const vf s = silu ? sigmoid(g) : gelu_gate(g);
                const vf inner = silu ? set1(1.0f) : 2.0f * kGeluA * (1.0f + 3.0f * kGeluB * g * g);
                const vf act = g * s, slope = s + act * (1.0f - s) * inner;
                put(gate + i, count, d * u * slope);
                put(up + i, count, d * act);
            });
        });
    });
}

static void add(int64_t n, ConstValues x, float *y) {
    typed(x, [&](const auto *from) {
        for_vectors(n,
                    [&](int64_t i, int64_t count) { put(y + i, count, take(y + i, count) + take(from + i, count)); });
    });
}

static void scale(int64_t n, float s, Values values) {
    typed(values, [&](auto *x) {
        for_vectors(n, [&](int64_t i, int64_t count) { put(x + i, count, take(x + i, count) * s); });
    });
}

template <typename T>
static void rope_pairs(int64_t half, const float *cos, const float *sin, float sign, const float *x, T *y) {
    vf signs;
    for (int i = 0; i < kLanes; ++i) signs[i] = i % 2 == 0 ? -sign : sign;
    int64_t i = 0;
    for (; i + kLanes <= 2 * half; i += kLanes) {
        const vf v = load(x + i);
        store(y + i, v * load_twice(cos + i / 2) + swap_pairs(v) * (signs * load_twice(sin + i / 2)));
    }
    for (; i < 2 * half; i += 2) {
        const vf v = load_part(x + i, 2), c = set1(cos[i / 2]), s = signs * set1(sin[i / 2]);
        store_part(y + i, 2, v * c + swap_pairs(v) * s);
    }
}

template <typename T>
static void rope_halves(int64_t half, const float *cos, const float *sin, float sign, const float *x, T *y) {
    for_vectors(half, [&](int64_t i, int64_t count) {
        const vf a = take(x + i, count), b = take(x + half + i, count);
        const vf c = take(cos + i, count), s = sign * take(sin + i, count);
        put(y + i, count, a * c - b * s);
        put(y + half + i, count, a * s + b * c);
    });
}

static void rope(bool pairs, int64_t half, int64_t head_dim, const float *cos, const float *sin, float sign,
                 const float *x, Values out) {
    typed(out, [&](auto *y) {
        if (pairs)
            rope_pairs(half, cos, sin, sign, x, y);
        else
            rope_halves(half, cos, sin, sign, x, y);
        for_vectors(head_dim - 2 * half,
                    [&](int64_t i, int64_t count) { put(y + 2 * half + i, count, take(x + 2 * half + i, count)); });
    });
}

static void softcap(int64_t n, float cap, float *x) {
    for_vectors(n, [&](int64_t i, int64_t count) { put(x + i, count, cap * tanh(take(x + i, count) / cap)); });
}

// Of factor * x.
static inline float row_max(int64_t n, const float *x, float factor = 1.0f) {
    vf largest = set1(-INFINITY);
    for_vectors(n, [&](int64_t i, int64_t count) {
        largest = max((count == kLanes ? load(x + i) : load_part(x + i, count, x[i])) * factor, largest);
    });
    return max_lanes(largest);
}

// sum exp(x - top) in double over short f32 partial sums; the exponentials go to y.
static double row_exp_sum(int64_t n, float top, const float *x, float *y) {
    constexpr int64_t block = 1024;
    double total = 0;
    for (int64_t start = 0; start < n; start += block) {
        const int64_t length = n - start < block ? n - start : block;
        vf sum{};
        for_vectors(length, [&](int64_t i, int64_t count) {
            const float *from = x + start + i;
            const vf e = exp((count == kLanes ? load(from) : load_part(from, count, -INFINITY)) - top);
            put(y + start + i, count, e);
            sum += count == kLanes ? e : load_part(y + start + i, count);
        });
        total += sum_lanes(sum);
    }
    return total;
}

static double log_sum(int64_t n, float top, const float *x) {
    float scratch[1024];
    double sum = 0;
    for (int64_t i = 0; i < n; i += 1024) sum += row_exp_sum(n - i < 1024 ? n - i : 1024, top, x + i, scratch);
    return std::log(sum);
}

template <typename T>
static inline void clear_outside(int64_t n, int64_t begin, int64_t end, T *x) {
    if (begin > 0) std::memset(x, 0, static_cast<size_t>(begin) * sizeof(T));
    if (end < n) std::memset(x + end, 0, static_cast<size_t>(n - end) * sizeof(T));
}

// Calls body with a place of this format over x; vectors taken in order are read before their place is written.
template <typename Body>
static inline void over(float *x, Format format, const Body &body) {
    typed(Values{x, format}, body);
}

// Logarithm of the least probability of a key that is seen, 2^-60: as good as 0 in a row that adds up to 1, and its
// products with gradients are not denormal, which would take several times as long.
inline constexpr float kLeastLog = -41.5888308f;

static float softmax_tile(int64_t n, int64_t begin, int64_t end, float factor, float cap, float *s, Format out,
                          SoftmaxSum *row) {
    if (cap > 0) {
        scale(end - begin, factor, s + begin);
        softcap(end - begin, cap, s + begin);
        factor = 1.0f;
    }
    const float largest = row_max(end - begin, s + begin, factor), top = row->top > largest ? row->top : largest;
    vf sum{};
    over(s, out, [&](auto *p) {
        for_vectors(end - begin, [&](int64_t i, int64_t count) {
            const vf e = exp(fma(take(s + begin + i, count), set1(factor), set1(-top)), kLeastLog);
            put(p + begin + i, count, e);
            sum += count == kLanes ? e : keep_lanes(e, count);
        });
        clear_outside(n, begin, end, p);
    });
    const float shrink = begin == end || row->top == top ? 1.0f : exp(set1(row->top - top))[0];
    *row = {top, row->sum * shrink + sum_lanes(sum)};
    return shrink;
}

// forward: p = exp(c - lse), c = cap(factor * s)
template <bool kCapped, typename T>
static inline void softmax_backward_row(const SoftmaxBackward &call, int64_t r, T *probabilities, T *gradients) {
    const float factor = call.scale, cap = call.cap, lse = call.lse[r * call.ld_lse], delta = call.deltas[r];
    const int64_t begin = call.seen[r].begin, end = call.seen[r].end;
    const float *s = call.s + r * kPanel + begin, *dp = call.dp + r * kPanel + begin;
    for_vectors(end - begin, [&](int64_t i, int64_t count) {
        vf score = take(s + i, count), slope = set1(factor);
        if constexpr (kCapped) {
            const vf t = tanh(score * factor / cap);
            score = cap * t - lse;
            slope = (1.0f - t * t) * factor;
        } else {
            score = fma(score, set1(factor), set1(-lse));
        }
        const vf p = exp(score, kLeastLog), d = take(dp + i, count);
        put(probabilities + begin + i, count, p);
        put(gradients + begin + i, count, p * (d - delta) * slope);
    });
    clear_outside(call.n, begin, end, probabilities);
    clear_outside(call.n, begin, end, gradients);
}

static void softmax_backward(const SoftmaxBackward &call) {
    typed(call.p, [&](auto *p) {
        auto *ds = static_cast<decltype(p)>(call.ds.data);
        for (int64_t r = 0; r < call.rows; ++r, p += call.ld, ds += call.ld)
            if (call.cap > 0)
                softmax_backward_row<true>(call, r, p, ds);
            else
                softmax_backward_row<false>(call, r, p, ds);
    });
}

// gradient may lie over x.
template <typename T>
static double cross_entropy_gradient(int64_t n, float cap, float *x, int64_t target, T *gradient) {
    const float top = row_max(n, x);
    const double wanted = static_cast<double>(x[target]);
    double log_of_sum;
    float at_target;
    if (cap > 0) {
        // x is the capped logit: d capped / d raw = 1 - (x/cap)^2
        log_of_sum = log_sum(n, top, x);
        const float lse = top + static_cast<float>(log_of_sum), t = static_cast<float>(wanted) / cap;
        at_target = exp(set1(x[target] - lse))[0] * (1.0f - t * t) - (1.0f - t * t);
        for_vectors(n, [&](int64_t i, int64_t count) {
            const vf c = take(x + i, count);
            put(gradient + i, count, exp(c - lse) * (1.0f - (c / cap) * (c / cap)));
        });
    } else {
        const double sum = row_exp_sum(n, top, x, x);
        log_of_sum = std::log(sum);
        const float share = static_cast<float>(1.0 / sum);
        at_target = x[target] * share - 1.0f;
        for_vectors(n, [&](int64_t i, int64_t count) { put(gradient + i, count, take(x + i, count) * share); });
    }
    store_part(gradient + target, 1, set1(at_target));
    if (sizeof(T) == 2 && n % 2 != 0) gradient[n] = 0;
    return static_cast<double>(top) + log_of_sum - wanted;
}

static double cross_entropy(int64_t n, float cap, float *x, int64_t target, Values gradient) {
    if (gradient.data != nullptr)
        return typed(gradient, [&](auto *to) { return cross_entropy_gradient(n, cap, x, target, to); });
    const float top = row_max(n, x);
    return static_cast<double>(top) + log_sum(n, top, x) - static_cast<double>(x[target]);
}

static double log_sum_exp(int64_t n, const float *x, int32_t *top) {
    constexpr int64_t block = 1024;
    const float largest = row_max(n, x);
    int64_t at = 0;
    while (at + block < n && row_max(block, x + at) != largest) at += block;
    while (at < n - 1 && x[at] != largest) ++at;
    *top = static_cast<int32_t>(at);
    return static_cast<double>(largest) + log_sum(n, largest, x);
}

static void adamw(int64_t n, float gradient_scale, float decay, float step_size, float beta1, float beta2,
                  float inv_sqrt_correction2, float epsilon, const float *gradient, float *m, float *v, float *p) {
    for_vectors(n, [&](int64_t i, int64_t count) {
        const vf g = take(gradient + i, count) * gradient_scale;
        const vf m1 = take(m + i, count) * beta1 + g * (1.0f - beta1);
        const vf v1 = take(v + i, count) * beta2 + g * g * (1.0f - beta2);
        const vf denominator = sqrt(v1) * inv_sqrt_correction2 + epsilon;
        put(m + i, count, m1);
        put(v + i, count, v1);
        put(p + i, count, take(p + i, count) * decay - step_size * (m1 / denominator));
    });
}

static void dropout(int64_t n, uint64_t key, uint64_t first, float p, ConstValues x, Values y) {
    const float kept = 1.0f / (1.0f - p);
    const auto keeps = [&](int64_t i) { return !(random_unit(key, first + static_cast<uint64_t>(i)) < p); };
    if (x.rounded()) {
        for (int64_t i = 0; i < n; ++i)
            y.bf16()[i] = keeps(i) ? round_bf16(load_part(x.bf16() + i, 1)[0] * kept) : uint16_t(0);
    } else {
        for (int64_t i = 0; i < n; ++i) y.f32()[i] = keeps(i) ? x.f32()[i] * kept : 0.0f;
    }
}

}  // namespace
}  // namespace slm
