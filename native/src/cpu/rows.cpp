// Operations that work row by row or element by element.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/cpu_backend.hpp"

namespace slm {

namespace {

constexpr int64_t kChunk = 16384;  // elements a thread takes at once; also the grain of fixed-order sums

template <typename Body>
void split_elements(ThreadPool &pool, int64_t n, const Body &body) {
    pool.split((n + kChunk - 1) / kChunk, [&](int64_t begin, int64_t end, int) {
        body(begin * kChunk, std::min(n, end * kChunk) - begin * kChunk);
    });
}

}  // namespace

CpuBackend::CpuBackend(ThreadPool &pool, const Kernels &kernels)
    : pool_(pool), kernels_(kernels), pack_(static_cast<size_t>(pool.size() * kThreadBytes)) {}

bool CpuBackend::supports(const Weight &w) const {
    return w.type != nullptr && kernels_.find_type(w.type->id) != nullptr && w.columns % w.type->block_values == 0;
}

void CpuBackend::embedding(int64_t T, const int32_t *ids, const Weight &w, float scale, float *out) {
    const QuantType &type = type_of(w);
    const int64_t row_bytes = w.columns / type.block_values * type.block_bytes;
    pool_.split(T, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = begin; t < end; ++t) {
            float *row = out + t * w.columns;
            type.dequantize(static_cast<const char *>(w.data) + ids[t] * row_bytes, row, w.columns);
            if (scale != 1.0f) kernels_.scale(w.columns, scale, row);
        }
    });
}

// Threads share the columns, so every row is summed in token order.
void CpuBackend::embedding_backward(int64_t T, const int32_t *ids, int64_t columns, float scale, const float *dout,
                                    float *dw) {
    pool_.split(columns, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = 0; t < T; ++t) {
            float *row = dw + ids[t] * columns;
            for (int64_t i = begin; i < end; ++i) row[i] += scale * dout[t * columns + i];
        }
    });
}

void CpuBackend::rms_norm(int64_t T, int64_t groups, int64_t n, float epsilon, ConstValues x, const float *g, Values y,
                          float *rstd) {
    pool_.split(T * groups, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) rstd[r] = kernels_.rms_norm(n, epsilon, x.at(r * n), g, y.at(r * n));
    });
}

void CpuBackend::rms_norm_backward(int64_t T, int64_t groups, int64_t n, const float *rstd, ConstValues x,
                                   const float *g, const float *dy, float *dx) {
    pool_.split(T * groups, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r)
            kernels_.rms_norm_backward(n, rstd[r], x.at(r * n), g, dy + r * n, dx + r * n);
    });
}

void CpuBackend::rms_norm_weight_backward(int64_t T, int64_t groups, int64_t n, const float *rstd, ConstValues x,
                                          const float *dy, float *dg) {
    constexpr int64_t width = 64;
    pool_.split((n + width - 1) / width, [&](int64_t begin, int64_t end, int) {
        const int64_t first = begin * width, count = std::min(n, end * width) - first;
        for (int64_t r = 0; r < T * groups; ++r)
            kernels_.rms_norm_weight_backward(count, rstd[r], x.at(r * n + first), dy + r * n + first, dg + first);
    });
}

void CpuBackend::rope(int64_t T, int64_t heads, int64_t head_dim, const int32_t *positions, const RopeTable &table,
                      float sign, const float *x, Values y) {
    const int64_t half = table.n_rot / 2;
    const bool pairs = table.type == SLM_ROPE_TYPE_PAIRS;
    pool_.split(T, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = begin; t < end; ++t) {
            const float *cos = table.cos + positions[t] * half, *sin = table.sin + positions[t] * half;
            for (int64_t at = t * heads * head_dim; at < (t + 1) * heads * head_dim; at += head_dim)
                kernels_.rope(pairs, half, head_dim, cos, sin, sign, x + at, y.at(at));
        }
    });
}

void CpuBackend::glu(slm_activation activation, int64_t n, ConstValues gate, ConstValues up, Values y) {
    split_elements(pool_, n, [&](int64_t first, int64_t count) {
        kernels_.glu(activation, count, gate.at(first), up.at(first), y.at(first));
    });
}

void CpuBackend::glu_backward(slm_activation activation, int64_t n, ConstValues dy, Values gate, Values up) {
    split_elements(pool_, n, [&](int64_t first, int64_t count) {
        kernels_.glu_backward(activation, count, dy.at(first), gate.at(first), up.at(first));
    });
}

void CpuBackend::clear(int64_t n, float *x) {
    split_elements(pool_, n, [&](int64_t first, int64_t count) {
        std::memset(x + first, 0, static_cast<size_t>(count) * sizeof(float));
    });
}

void CpuBackend::copy(int64_t n, ConstValues x, Values y) {
    split_elements(pool_, n, [&](int64_t first, int64_t count) { kernels_.copy(count, x.at(first), y.at(first)); });
}

void CpuBackend::add(int64_t n, const float *x, float *y) {
    split_elements(pool_, n, [&](int64_t first, int64_t count) { kernels_.add(count, x + first, y + first); });
}

void CpuBackend::scale(int64_t n, float s, Values x) {
    if (s == 1.0f) return;
    split_elements(pool_, n, [&](int64_t first, int64_t count) { kernels_.scale(count, s, x.at(first)); });
}

void CpuBackend::gather_rows(int64_t R, int64_t n, const int64_t *rows, const float *x, float *y) {
    pool_.each(
        R, [&](int64_t r, int) { std::memcpy(y + r * n, x + rows[r] * n, static_cast<size_t>(n) * sizeof(float)); });
}

void CpuBackend::scatter_rows(int64_t R, int64_t n, const int64_t *rows, const float *x, float *y) {
    pool_.each(
        R, [&](int64_t r, int) { std::memcpy(y + rows[r] * n, x + r * n, static_cast<size_t>(n) * sizeof(float)); });
}

void CpuBackend::softcap(int64_t n, float cap, float *x) {
    split_elements(pool_, n, [&](int64_t first, int64_t count) { kernels_.softcap(count, cap, x + first); });
}

void CpuBackend::bias_backward(int64_t T, int64_t n, ConstValues dy, float *db) {
    pool_.split(n, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = 0; t < T; ++t) kernels_.add(end - begin, dy.at(t * n + begin), db + begin);
    });
}

void CpuBackend::dropout(int64_t T, int64_t n, uint64_t key, int64_t first, float p, ConstValues x, Values y) {
    pool_.split(T, [&](int64_t begin, int64_t end, int) {
        kernels_.dropout((end - begin) * n, key, static_cast<uint64_t>((first + begin) * n), p, x.at(begin * n),
                         y.at(begin * n));
    });
}

void CpuBackend::cross_entropy(int64_t R, int64_t n_vocab, float cap, float *logits, const int32_t *targets,
                               bool gradient, double *loss, Format format) {
    pool_.split(R, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) {
            float *row = logits + r * n_vocab;
            if (cap > 0) kernels_.softcap(n_vocab, cap, row);
            loss[r] = kernels_.cross_entropy(n_vocab, cap, row, targets[r], {gradient ? row : nullptr, format});
        }
    });
}

void CpuBackend::log_sum_exp(int64_t R, int64_t n_vocab, float cap, float *logits, double *lse, int32_t *top) {
    pool_.split(R, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) {
            float *row = logits + r * n_vocab;
            if (cap > 0) kernels_.softcap(n_vocab, cap, row);
            lse[r] = kernels_.log_sum_exp(n_vocab, row, top + r);
        }
    });
}

double CpuBackend::sum_squares(int64_t n, const float *x) {
    // One partial sum per chunk, chunks added in order: the same for any number of threads.
    double total = 0;
    constexpr int64_t wave = 256;
    double partial[wave];
    const int64_t chunks = (n + kChunk - 1) / kChunk;
    for (int64_t first = 0; first < chunks; first += wave) {
        const int64_t count = std::min(wave, chunks - first);
        pool_.split(count, [&](int64_t begin, int64_t end, int) {
            for (int64_t i = begin; i < end; ++i) {
                const int64_t at = (first + i) * kChunk;
                partial[i] = kernels_.sum_squares(std::min(kChunk, n - at), x + at);
            }
        });
        for (int64_t i = 0; i < count; ++i) total += partial[i];
    }
    return total;
}

void CpuBackend::adamw(int64_t n, float gradient_scale, const slm_step_params &params, bool decay,
                       const float *gradient, float *m, float *v, float *p) {
    moved(n * 28);  // four arrays in, three out
    const double t = static_cast<double>(params.step);
    const double correction1 = 1.0 - std::pow(params.beta1, t), correction2 = 1.0 - std::pow(params.beta2, t);
    const float shrink = static_cast<float>(decay ? 1.0 - params.learning_rate * params.weight_decay : 1.0);
    const float step_size = static_cast<float>(params.learning_rate / correction1);
    const float inv_sqrt = static_cast<float>(1.0 / std::sqrt(correction2));
    split_elements(pool_, n, [&](int64_t first, int64_t count) {
        kernels_.adamw(count, gradient_scale, shrink, step_size, static_cast<float>(params.beta1),
                       static_cast<float>(params.beta2), inv_sqrt, static_cast<float>(params.epsilon), gradient + first,
                       m + first, v + first, p + first);
    });
}

}  // namespace slm
