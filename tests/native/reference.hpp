// What each op means, as naive loops in a chosen real type (double in tests): the other side of every comparison.
// Forward stands beside backward. `dx` is d loss / d x; backward functions set activations' gradients (=) and add to
// parameters' gradients (+=). Shapes: T rows (tokens); matrices row-major. Independent of the library's sources.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace slm_test::reference {

// ---- linear: x [T, n_in], w [n_out, n_in], y [T, n_out] ----

template <class R>
void matmul(int64_t T, int64_t n_in, int64_t n_out, const R *x, const R *w, R *y) {
    for (int64_t t = 0; t < T; ++t) {
        for (int64_t o = 0; o < n_out; ++o) {
            R sum = 0;
            for (int64_t i = 0; i < n_in; ++i) sum += x[t * n_in + i] * w[o * n_in + i];
            y[t * n_out + o] = sum;
        }
    }
}

template <class R>
void matmul_dx(int64_t T, int64_t n_in, int64_t n_out, const R *dy, const R *w, R *dx) {
    for (int64_t t = 0; t < T; ++t) {
        for (int64_t i = 0; i < n_in; ++i) {
            R sum = 0;
            for (int64_t o = 0; o < n_out; ++o) sum += dy[t * n_out + o] * w[o * n_in + i];
            dx[t * n_in + i] = sum;
        }
    }
}

template <class R>
void matmul_dw(int64_t T, int64_t n_in, int64_t n_out, const R *dy, const R *x, R *dw) {
    for (int64_t o = 0; o < n_out; ++o) {
        for (int64_t i = 0; i < n_in; ++i) {
            R sum = 0;
            for (int64_t t = 0; t < T; ++t) sum += dy[t * n_out + o] * x[t * n_in + i];
            dw[o * n_in + i] += sum;
        }
    }
}

// ---- LoRA: y += scale B A x; a [r, n_in], b [n_out, r]. Dropout is a factor per input: 0 or 1/(1-p). ----

template <class R>
void lora(int64_t T, int64_t n_in, int64_t n_out, int64_t r, R scale, const R *x, const R *keep /* [T, n_in] or null */,
          const R *a, const R *b, R *y) {
    std::vector<R> kept(x, x + T * n_in), ax(size_t(T * r)), bax(size_t(T * n_out));
    if (keep) {
        for (int64_t i = 0; i < T * n_in; ++i) kept[size_t(i)] *= keep[i];
    }
    matmul(T, n_in, r, kept.data(), a, ax.data());
    matmul(T, r, n_out, ax.data(), b, bax.data());
    for (int64_t i = 0; i < T * n_out; ++i) y[i] += scale * bax[size_t(i)];
}

/// dx += the branch's share.
template <class R>
void lora_backward(int64_t T, int64_t n_in, int64_t n_out, int64_t r, R scale, const R *x, const R *keep, const R *a,
                   const R *b, const R *dy, R *dx, R *da, R *db) {
    std::vector<R> kept(x, x + T * n_in), ax(size_t(T * r)), dax(size_t(T * r)), dkept(size_t(T * n_in));
    std::vector<R> sdy(dy, dy + T * n_out);
    for (R &v : sdy) v *= scale;
    if (keep) {
        for (int64_t i = 0; i < T * n_in; ++i) kept[size_t(i)] *= keep[i];
    }
    matmul(T, n_in, r, kept.data(), a, ax.data());
    matmul_dw(T, r, n_out, sdy.data(), ax.data(), db);
    matmul_dx(T, r, n_out, sdy.data(), b, dax.data());
    matmul_dw(T, n_in, r, dax.data(), kept.data(), da);
    matmul_dx(T, n_in, r, dax.data(), a, dkept.data());
    for (int64_t i = 0; i < T * n_in; ++i) dx[i] += dkept[size_t(i)] * (keep ? keep[i] : R(1));
}

// ---- RMSNorm: y = w x / sqrt(mean(x^2) + eps); x [T, n], w [n] ----

template <class R>
void rmsnorm(int64_t T, int64_t n, R eps, const R *x, const R *w, R *y) {
    for (int64_t t = 0; t < T; ++t) {
        R squares = 0;
        for (int64_t i = 0; i < n; ++i) squares += x[t * n + i] * x[t * n + i];
        const R inverse = 1 / std::sqrt(squares / R(n) + eps);
        for (int64_t i = 0; i < n; ++i) y[t * n + i] = w[i] * x[t * n + i] * inverse;
    }
}

template <class R>
void rmsnorm_backward(int64_t T, int64_t n, R eps, const R *x, const R *w, const R *dy, R *dx, R *dw) {
    for (int64_t t = 0; t < T; ++t) {
        R squares = 0, dot = 0;
        for (int64_t i = 0; i < n; ++i) squares += x[t * n + i] * x[t * n + i];
        for (int64_t i = 0; i < n; ++i) dot += dy[t * n + i] * w[i] * x[t * n + i];
        const R inverse = 1 / std::sqrt(squares / R(n) + eps);
        const R pull = dot * inverse * inverse * inverse / R(n);
        for (int64_t i = 0; i < n; ++i) {
            dx[t * n + i] = dy[t * n + i] * w[i] * inverse - x[t * n + i] * pull;
            dw[i] += dy[t * n + i] * x[t * n + i] * inverse;
        }
    }
}

// ---- RoPE in place: x [T, n_head, n_embd_head]; the first n_rot values of each head are rotated ----

/// neox: partners are i and i + n_rot/2; otherwise 2i and 2i+1. factors: [n_rot/2] divisors of the frequencies, or
/// null. direction -1 is the backward: a rotation's transpose is the rotation back.
template <class R>
void rope(int64_t T, int64_t n_head, int64_t n_embd_head, int64_t n_rot, bool neox, const int32_t *positions, R base,
          R freq_scale, const R *factors, int direction, R *x) {
    for (int64_t t = 0; t < T; ++t) {
        for (int64_t h = 0; h < n_head; ++h) {
            R *head = x + (t * n_head + h) * n_embd_head;
            for (int64_t i = 0; i < n_rot / 2; ++i) {
                const R frequency = std::pow(base, R(-2 * i) / R(n_rot)) * freq_scale / (factors ? factors[i] : R(1));
                const R angle = R(direction) * R(positions[t]) * frequency;
                const int64_t first = neox ? i : 2 * i, second = neox ? i + n_rot / 2 : 2 * i + 1;
                const R a = head[first], b = head[second];
                head[first] = a * std::cos(angle) - b * std::sin(angle);
                head[second] = a * std::sin(angle) + b * std::cos(angle);
            }
        }
    }
}

// ---- causal attention over packed sequences: q, out [T, n_head, d]; k, v [T, n_head_kv, d] ----

struct AttentionShape {
    int64_t n_head = 1, n_head_kv = 1, d = 1;
    std::vector<int64_t> offsets;  ///< [S+1]
    double scale = 1;
    int64_t window = 0;  ///< keys a query sees, itself included; 0: all
    double softcap = 0;  ///< scores become cap tanh(score / cap); 0: none
};

/// Probabilities of query t (global row) and head h over keys first..t; `slopes` receives d capped / d raw score.
template <class R>
std::vector<R> attention_row(const AttentionShape &s, int64_t begin, int64_t t, int64_t h, const R *q, const R *k,
                             int64_t *first, std::vector<R> *slopes) {
    *first = s.window > 0 && t - s.window + 1 > begin ? t - s.window + 1 : begin;
    const int64_t h_kv = h / (s.n_head / s.n_head_kv);
    std::vector<R> p;
    R top = -std::numeric_limits<R>::infinity();
    for (int64_t j = *first; j <= t; ++j) {
        R score = 0;
        for (int64_t c = 0; c < s.d; ++c) {
            score += q[(t * s.n_head + h) * s.d + c] * k[(j * s.n_head_kv + h_kv) * s.d + c];
        }
        score *= R(s.scale);
        R slope = 1;
        if (s.softcap > 0) {
            const R bent = std::tanh(score / R(s.softcap));
            score = R(s.softcap) * bent;
            slope = 1 - bent * bent;
        }
        if (slopes) slopes->push_back(slope);
        p.push_back(score);
        top = score > top ? score : top;
    }
    R sum = 0;
    for (R &v : p) sum += (v = std::exp(v - top));
    for (R &v : p) v /= sum;
    return p;
}

template <class R>
void attention(const AttentionShape &s, const R *q, const R *k, const R *v, R *out) {
    for (size_t seq = 0; seq + 1 < s.offsets.size(); ++seq) {
        for (int64_t t = s.offsets[seq]; t < s.offsets[seq + 1]; ++t) {
            for (int64_t h = 0; h < s.n_head; ++h) {
                int64_t first;
                const std::vector<R> p =
                    attention_row<R>(s, s.offsets[seq], t, h, q, k, &first, static_cast<std::vector<R> *>(nullptr));
                const int64_t h_kv = h / (s.n_head / s.n_head_kv);
                for (int64_t c = 0; c < s.d; ++c) {
                    R sum = 0;
                    for (int64_t j = first; j <= t; ++j) {
                        sum += p[size_t(j - first)] * v[(j * s.n_head_kv + h_kv) * s.d + c];
                    }
                    out[(t * s.n_head + h) * s.d + c] = sum;
                }
            }
        }
    }
}

/// dq, dk, dv are set.
template <class R>
void attention_backward(const AttentionShape &s, const R *q, const R *k, const R *v, const R *dout, R *dq, R *dk,
                        R *dv) {
    const int64_t T = s.offsets.back();
    for (int64_t i = 0; i < T * s.n_head * s.d; ++i) dq[i] = 0;
    for (int64_t i = 0; i < T * s.n_head_kv * s.d; ++i) dk[i] = dv[i] = 0;
    for (size_t seq = 0; seq + 1 < s.offsets.size(); ++seq) {
        for (int64_t t = s.offsets[seq]; t < s.offsets[seq + 1]; ++t) {
            for (int64_t h = 0; h < s.n_head; ++h) {
                int64_t first;
                std::vector<R> slopes;
                const std::vector<R> p = attention_row<R>(s, s.offsets[seq], t, h, q, k, &first, &slopes);
                const int64_t h_kv = h / (s.n_head / s.n_head_kv);
                const R *dout_th = dout + (t * s.n_head + h) * s.d;
                std::vector<R> dp;
                R mean = 0;
                for (int64_t j = first; j <= t; ++j) {
                    R sum = 0;
                    for (int64_t c = 0; c < s.d; ++c) {
                        sum += dout_th[c] * v[(j * s.n_head_kv + h_kv) * s.d + c];
                        dv[(j * s.n_head_kv + h_kv) * s.d + c] += p[size_t(j - first)] * dout_th[c];
                    }
                    dp.push_back(sum);
                    mean += p[size_t(j - first)] * sum;
                }
                for (int64_t j = first; j <= t; ++j) {
                    const size_t at = size_t(j - first);
                    const R dscore = p[at] * (dp[at] - mean) * slopes[at] * R(s.scale);
                    for (int64_t c = 0; c < s.d; ++c) {
                        dq[(t * s.n_head + h) * s.d + c] += dscore * k[(j * s.n_head_kv + h_kv) * s.d + c];
                        dk[(j * s.n_head_kv + h_kv) * s.d + c] += dscore * q[(t * s.n_head + h) * s.d + c];
                    }
                }
            }
        }
    }
}

// ---- gated activation: y = f(gate) up, f = SiLU or tanh-GELU ----

template <class R>
R activate(bool gelu, R g, R *slope) {
    if (!gelu) {
        const R s = 1 / (1 + std::exp(-g));
        *slope = s * (1 + g * (1 - s));
        return g * s;
    }
    const R c = std::sqrt(R(2) / R(3.14159265358979323846L));
    const R bent = std::tanh(c * (g + R(0.044715) * g * g * g));
    *slope = (1 + bent) / 2 + g / 2 * (1 - bent * bent) * c * (1 + 3 * R(0.044715) * g * g);
    return g / 2 * (1 + bent);
}

template <class R>
void gated(int64_t n, bool gelu, const R *gate, const R *up, R *y) {
    R slope;
    for (int64_t i = 0; i < n; ++i) y[i] = activate(gelu, gate[i], &slope) * up[i];
}

template <class R>
void gated_backward(int64_t n, bool gelu, const R *gate, const R *up, const R *dy, R *dgate, R *dup) {
    for (int64_t i = 0; i < n; ++i) {
        R slope;
        const R f = activate(gelu, gate[i], &slope);
        dgate[i] = dy[i] * up[i] * slope;
        dup[i] = dy[i] * f;
    }
}

// ---- soft cap: y = c tanh(x / c) ----

template <class R>
void softcap(int64_t n, R cap, const R *x, R *y) {
    for (int64_t i = 0; i < n; ++i) y[i] = cap * std::tanh(x[i] / cap);
}

template <class R>
void softcap_backward(int64_t n, R cap, const R *y, const R *dy, R *dx) {
    for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * (1 - (y[i] / cap) * (y[i] / cap));
}

// ---- cross entropy, summed over rows whose target is not -1; logits [T, V] ----

template <class R>
R cross_entropy(int64_t T, int64_t V, const R *logits, const int32_t *targets) {
    R loss = 0;
    for (int64_t t = 0; t < T; ++t) {
        if (targets[t] < 0) continue;
        const R *row = logits + t * V;
        R top = row[0], sum = 0;
        for (int64_t i = 1; i < V; ++i) top = row[i] > top ? row[i] : top;
        for (int64_t i = 0; i < V; ++i) sum += std::exp(row[i] - top);
        loss += std::log(sum) + top - row[targets[t]];
    }
    return loss;
}

template <class R>
void cross_entropy_backward(int64_t T, int64_t V, const R *logits, const int32_t *targets, R *dlogits) {
    for (int64_t t = 0; t < T; ++t) {
        const R *row = logits + t * V;
        R top = row[0], sum = 0;
        for (int64_t i = 1; i < V; ++i) top = row[i] > top ? row[i] : top;
        for (int64_t i = 0; i < V; ++i) sum += std::exp(row[i] - top);
        for (int64_t i = 0; i < V; ++i) {
            dlogits[t * V + i] = targets[t] < 0 ? R(0) : std::exp(row[i] - top) / sum - R(i == targets[t]);
        }
    }
}

// ---- embedding: y[t] = scale w[tokens[t]]; w [V, n] ----

template <class R>
void embedding(int64_t T, int64_t n, R scale, const int32_t *tokens, const R *w, R *y) {
    for (int64_t t = 0; t < T; ++t) {
        for (int64_t i = 0; i < n; ++i) y[t * n + i] = scale * w[tokens[t] * n + i];
    }
}

template <class R>
void embedding_backward(int64_t T, int64_t n, R scale, const int32_t *tokens, const R *dy, R *dw) {
    for (int64_t t = 0; t < T; ++t) {
        for (int64_t i = 0; i < n; ++i) dw[tokens[t] * n + i] += scale * dy[t * n + i];
    }
}

// ---- AdamW, decoupled decay (Loshchilov and Hutter, 2019), as torch.optim.AdamW orders it ----

template <class R>
void adamw(int64_t n, int64_t step, R lr, R beta1, R beta2, R epsilon, R decay, const R *g, R *w, R *m, R *v) {
    const R fix1 = 1 - std::pow(beta1, R(step)), fix2 = 1 - std::pow(beta2, R(step));
    for (int64_t i = 0; i < n; ++i) {
        w[i] -= lr * decay * w[i];
        m[i] = beta1 * m[i] + (1 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        w[i] -= lr * (m[i] / fix1) / (std::sqrt(v[i] / fix2) + epsilon);
    }
}

/// (f(x + h) - f(x - h)) / 2h in one coordinate; x is put back.
template <class F>
double central_difference(F f, double &x, double h = 1e-5) {
    const double kept = x;
    x = kept + h;
    const double above = f();
    x = kept - h;
    const double below = f();
    x = kept;
    return (above - below) / (2 * h);
}

}  // namespace slm_test::reference
