// Products with packed panels. Quantized weights are unpacked a panel at a time and never exist whole.
#include <algorithm>
#include <cstring>

#include "cpu/cpu_backend.hpp"
#include "cpu/panels.hpp"

namespace slm {

namespace {

constexpr int64_t kRowTile = 12;   // rows of work are cut at multiples of this
constexpr int64_t kShortRun = 96;  // rows that a thread takes at once of a panel that stays packed: whole tiles of 32

// Calls body(panel, m0, m1, thread, again) on pieces of panels x rows; again: the thread's last piece was of the same
// panel. Rows of a panel are cut finer where what is packed serves the thread's next piece too.
template <typename Body>
void split_panels(ThreadPool &pool, int64_t panels, int64_t rows, bool kept, const Body &body) {
    const int64_t tiles = ceil_div(rows, kRowTile), most = kept && pool.size() > 1 ? kShortRun / kRowTile : tiles;
    pool.share(panels * tiles, [&](ThreadPool::Items &items, int thread) {
        int64_t last = -1;
        for (ThreadPool::Range range; !(range = items.take(tiles, most)).empty();) {
            const int64_t panel = range.begin / tiles, first = panel * tiles;
            body(panel, (range.begin - first) * kRowTile, std::min(rows, (range.end - first) * kRowTile), thread,
                 panel == last);
            last = panel;
        }
    });
}

}  // namespace

// panel[k - k0][j] = W[row + j][k]
void CpuBackend::pack_outputs(const Weight &w, int64_t row, int64_t n_rows, int64_t k0, int64_t k1, int64_t at,
                              int thread) const {
    const QuantType &type = type_of(w);
    float *out = panel(thread, at), *rows = row_block(thread);
    for (int64_t j0 = 0; j0 < n_rows; j0 += 16) {
        const int64_t count = std::min<int64_t>(16, n_rows - j0);
        if (type.id == 0) {
            kernels_.transpose(static_cast<const float *>(w.data) + (row + j0) * w.columns + k0, w.columns,
                               static_cast<int>(count), k1 - k0, out, static_cast<int>(j0));
        } else {
            for (int64_t j = 0; j < count; ++j)
                type.dequantize(row_pointer(w, type, row + j0 + j, k0), rows + j * kDepth, k1 - k0);
            kernels_.transpose(rows, kDepth, static_cast<int>(count), k1 - k0, out, static_cast<int>(j0));
        }
        if (count < 16)
            for (int64_t k = 0; k < k1 - k0; ++k)
                std::memset(out + k * kPanel + j0 + count, 0, static_cast<size_t>(16 - count) * sizeof(float));
    }
}

// panel p, [k - k0][j] = W[k][column + p*kPanel + j]
void CpuBackend::pack_inputs(const Weight &w, int64_t column, int64_t n_columns, int64_t k0, int64_t k1, int64_t at,
                             int thread) const {
    const QuantType &type = type_of(w);
    const int64_t depth = even(k1 - k0);
    float *out = panel(thread, at), *part = row(thread);
    const bool direct = n_columns == kPanel && kPanel % type.block_values == 0;
    const int64_t padded = ceil_div(n_columns, 16) * 16;
    for (int64_t k = k0; k < k1; ++k) {
        float *target = direct ? out + (k - k0) * kPanel : part;
        type.dequantize(row_pointer(w, type, k, column), target, n_columns);
        if (direct) continue;
        std::memset(part + n_columns, 0, static_cast<size_t>(padded - n_columns) * sizeof(float));
        for (int64_t j = 0; j < padded; j += kPanel)
            std::memcpy(out + (j / kPanel * depth + k - k0) * kPanel, part + j,
                        static_cast<size_t>(std::min<int64_t>(kPanel, padded - j)) * sizeof(float));
    }
}

void CpuBackend::multiply_panel(const Operand &a, int64_t m0, int64_t m1, int64_t n, int64_t k0, int64_t k1, int64_t at,
                                float *c, int64_t ldc, bool add, int thread) const {
    if (a.x.rounded())
        kernels_.gemm_bf16(
            {m1 - m0, n, k1 - k0, a.x.bf16() + m0 * a.ld + k0, a.ld, panel_bf16(thread, at), c, ldc, add});
    else
        kernels_.gemm(
            {m1 - m0, n, k1 - k0, a.x.f32() + m0 * a.ld + k0, a.ld, 1, panel(thread, at), kPanel, c, ldc, add});
}

// The sums of a rounded output stand in the thread's tile until they are complete.
void CpuBackend::store_rounded(const float *tile, int64_t ld, int64_t m, int64_t n, int64_t width, int64_t column,
                               uint16_t *y, int64_t ldy) const {
    for (int64_t i = 0; i < m; ++i, tile += ld, y += ldy) {
        kernels_.to_bf16(n, tile, y + column);
        if (column + n == width && ldy > width) y[width] = 0;
    }
}

// Whether the panels of all terms of an output fit a thread's memory beside each other.
bool CpuBackend::keeps_panels(const LinearOutput *outputs, int n_outputs) {
    return std::all_of(outputs, outputs + n_outputs, [](const LinearOutput &out) {
        int64_t bytes = 0;
        for (int i = 0; i < out.n_terms; ++i) {
            if (out.terms[i].x.format == Format::Q8) return false;
            bytes += even(out.terms[i].w.columns) * kPanel * bytes_of(out.terms[i].x.format);
        }
        return bytes <= kKeptBytes;
    });
}

void CpuBackend::linear_panel(const LinearOutput &out, int64_t row, int64_t m0, int64_t m1, bool keep, bool packed,
                              int thread) const {
    const int64_t width = out.terms[0].w.rows, n = std::min<int64_t>(kPanel, width - row);
    const bool rounded = out.y.rounded();
    float *c = rounded ? tile(thread) : out.y.f32() + m0 * out.ldy + row;
    const int64_t ldc = rounded ? kPanel : out.ldy;
    bool add = out.add;
    int64_t at = 0;
    for (int i = 0; i < out.n_terms; ++i) {
        const Weight &w = out.terms[i].w;
        if (out.terms[i].x.format == Format::Q8) {
            multiply_q8(out.terms[i], row, n, m0, m1, c, ldc, add, thread);
            add = true;
            continue;
        }
        const Operand x{out.terms[i].x, out.terms[i].ldx};
        const int64_t depth = x.x.rounded() ? 2 * kDepth : kDepth;
        for (int64_t k0 = 0; k0 < w.columns; k0 += depth) {
            const int64_t k1 = std::min(w.columns, k0 + depth);
            if (!packed && x.x.rounded())
                pack_outputs_bf16(w, row, n, k0, k1, at, thread);
            else if (!packed)
                pack_outputs(w, row, n, k0, k1, at, thread);
            multiply_panel(x, m0, m1, n, k0, k1, at, c, ldc, add, thread);
            add = true;
            if (keep) at += even(k1 - k0) * kPanel * bytes_of(x.x.format);
        }
    }
    if (out.bias != nullptr)
        for (int64_t m = 0; m < m1 - m0; ++m) kernels_.add(n, out.bias + row, c + m * ldc);
    if (rounded) store_rounded(c, kPanel, m1 - m0, n, width, row, out.y.bf16() + m0 * out.ldy, out.ldy);
}

void CpuBackend::linear(int64_t T, const LinearOutput *outputs, int n_outputs) {
    int64_t panels = 0;
    for (int i = 0; i < n_outputs; ++i) {
        panels += ceil_div(outputs[i].terms[0].w.rows, kPanel);
        moved(T * outputs[i].terms[0].w.rows * bytes_of(outputs[i].y.format));
        for (int t = 0; t < outputs[i].n_terms; ++t) {
            const LinearTerm &term = outputs[i].terms[t];
            moved(row_bytes(term.w) * term.w.rows + T * term.w.columns * bytes_of(term.x.format));
        }
    }
    const bool keep = keeps_panels(outputs, n_outputs);
    split_panels(pool_, panels, T, keep, [&](int64_t panel, int64_t m0, int64_t m1, int thread, bool again) {
        const LinearOutput *out = outputs;
        for (int64_t own; panel >= (own = ceil_div(out->terms[0].w.rows, kPanel)); ++out) panel -= own;
        const int64_t rows = out->y.rounded() ? kTileRows : m1 - m0;
        for (int64_t m = m0; m < m1; m += rows)
            linear_panel(*out, panel * kPanel, m, std::min(m1, m + rows), keep, keep && (again || m > m0), thread);
    });
}

bool CpuBackend::keeps_panels(const LinearGradTerm *terms, int n_terms, int64_t group) {
    int64_t bytes = 0;
    for (int i = 0; i < n_terms; ++i) bytes += even(terms[i].w.rows) * group * bytes_of(terms[i].dy.format);
    return bytes <= kKeptBytes;
}

// forward: y[t, k] = sum_j x[t, j] W[k, j]
void CpuBackend::linear_backward_group(const LinearGradCall &call, int64_t column, int64_t m0, int64_t m1, bool packed,
                                       int thread) const {
    const int64_t group = call.group, columns = call.terms[0].w.columns, width = std::min(group, columns - column);
    const bool rounded = call.dx.rounded();
    float *c = rounded ? tile(thread) : call.dx.f32() + m0 * call.lddx + column;
    const int64_t ldc = rounded ? group : call.lddx;
    bool add = call.add;
    int64_t at = 0;
    for (int i = 0; i < call.n_terms; ++i) {
        const Weight &w = call.terms[i].w;
        const Operand dy{call.terms[i].dy, call.terms[i].lddy};
        const int64_t depth = (dy.x.rounded() ? 2 * kDepth : kDepth) * kPanel / group;
        for (int64_t k0 = 0; k0 < w.rows; k0 += depth) {
            const int64_t k1 = std::min(w.rows, k0 + depth), stride = even(k1 - k0) * kPanel * bytes_of(dy.x.format);
            if (!packed && dy.x.rounded())
                pack_inputs_bf16(w, column, width, k0, k1, at, thread);
            else if (!packed)
                pack_inputs(w, column, width, k0, k1, at, thread);
            for (int64_t j = 0; j < width; j += kPanel)
                multiply_panel(dy, m0, m1, std::min<int64_t>(kPanel, width - j), k0, k1, at + j / kPanel * stride,
                               c + j, ldc, add, thread);
            add = true;
            if (call.keep) at += group / kPanel * stride;
        }
    }
    if (rounded) store_rounded(c, group, m1 - m0, width, columns, column, call.dx.bf16() + m0 * call.lddx, call.lddx);
}

// Columns of a weight that are unpacked together in its backward.
int64_t CpuBackend::column_group(const LinearGradTerm &term) const {
    const bool any = term.dy.rounded() && kernels_.find_pack_columns(term.w.type->id) != nullptr;
    return any ? kPanel : std::max<int64_t>(kPanel, term.w.type->block_values);
}

void CpuBackend::linear_backward(int64_t T, const LinearGradTerm *terms, int n_terms, Values dx, int64_t lddx,
                                 bool add) {
    const int64_t columns = terms[0].w.columns;
    int64_t group = kPanel;
    moved(T * columns * bytes_of(dx.format));
    for (int i = 0; i < n_terms; ++i) {
        group = std::max(group, column_group(terms[i]));
        moved(row_bytes(terms[i].w) * terms[i].w.rows + T * terms[i].w.rows * bytes_of(terms[i].dy.format));
    }
    const bool keep = keeps_panels(terms, n_terms, group);
    const LinearGradCall call{terms, n_terms, group, keep, dx, lddx, add};
    split_panels(pool_, ceil_div(columns, group), T, keep,
                 [&](int64_t index, int64_t m0, int64_t m1, int thread, bool again) {
                     const int64_t rows = dx.rounded() ? kTileRows * kPanel / group : m1 - m0;
                     for (int64_t m = m0; m < m1; m += rows)
                         linear_backward_group(call, index * group, m, std::min(m1, m + rows),
                                               keep && (again || m > m0), thread);
                 });
}

int64_t CpuBackend::outer_items(const OuterJob &job) {
    return ceil_div(job.n, kPanel) * ceil_div(job.m, kOuterSlice);
}

// One panel of columns of b against columns m0..m1 of a, so many at a time as fit the thread's memory.
void CpuBackend::outer_panel(const Sequences &seqs, const OuterJob &job, int64_t column, int64_t m0, int64_t m1,
                             int thread) const {
    const int64_t n = std::min<int64_t>(kPanel, job.n - column);
    for (int64_t m = m0; m < m1; m += kOuterRows) {
        const int64_t rows = std::min(kOuterRows, m1 - m);
        for (int64_t s = 0; s < seqs.count; ++s)
            for (int64_t k0 = seqs.offsets[s]; k0 < seqs.offsets[s + 1]; k0 += kOuterDepth) {
                const int64_t k1 = std::min(seqs.offsets[s + 1], k0 + kOuterDepth);
                float *c = job.transposed ? tile(thread) : job.c + m * job.ldc + column;
                const int64_t ldc = job.transposed ? kPanel : job.ldc;
                if (job.b.rounded())
                    outer_block_bf16(job, m, rows, column, n, k0, k1, c, ldc, thread);
                else
                    outer_block(job, m, rows, column, n, k0, k1, c, ldc, thread);
                if (!job.transposed) continue;
                for (int64_t i = 0; i < rows; i += 16)
                    kernels_.transpose(c + i * kPanel, kPanel, static_cast<int>(std::min<int64_t>(16, rows - i)), n,
                                       panel(thread), static_cast<int>(i));
                for (int64_t j = 0; j < n; ++j)
                    kernels_.add(rows, panel(thread) + j * kPanel, job.c + (column + j) * job.ldc + m);
            }
    }
}

// c (+= | = when transposed) a[k0..k1, m..]^T b[k0..k1, column..]
void CpuBackend::outer_block(const OuterJob &job, int64_t m, int64_t rows, int64_t column, int64_t n, int64_t k0,
                             int64_t k1, float *c, int64_t ldc, int thread) const {
    const float *b = job.b.f32() + k0 * job.ldb + column;
    int64_t ldb = job.ldb;
    if (n % 16 != 0) {
        for (int64_t k = 0; k < k1 - k0; ++k) {
            float *to = panel(thread) + k * kPanel;
            std::memcpy(to, b + k * ldb, static_cast<size_t>(n) * sizeof(float));
            std::memset(to + n, 0, static_cast<size_t>(16 - n % 16) * sizeof(float));
        }
        b = panel(thread);
        ldb = kPanel;
    }
    kernels_.gemm({rows, n, k1 - k0, job.a.f32() + k0 * job.lda + m, 1, job.lda, b, ldb, c, ldc, !job.transposed});
}

void CpuBackend::outer(const Sequences &seqs, const OuterJob *jobs, int n_jobs) {
    int64_t panels = 0;
    for (int i = 0; i < n_jobs; ++i) {
        panels += outer_items(jobs[i]);
        moved(seqs.tokens() * (jobs[i].m + jobs[i].n) * bytes_of(jobs[i].a.format) + jobs[i].m * jobs[i].n * 8);
    }
    pool_.each(panels, [&](int64_t item, int thread) {
        const OuterJob *job = jobs;
        for (int64_t own; item >= (own = outer_items(*job)); ++job) item -= own;
        const int64_t slices = ceil_div(job->m, kOuterSlice), m = item % slices * kOuterSlice;
        outer_panel(seqs, *job, item / slices * kPanel, m, std::min(job->m, m + kOuterSlice), thread);
    });
}

void CpuBackend::matmul(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, float *c, int64_t ldc, bool add) {
    const auto piece = [&](int64_t index, int64_t m0, int64_t m1, int thread, bool) {
        const int64_t column = index * kPanel, width = std::min<int64_t>(kPanel, n - column);
        const float *left = a.data + m0 * a.row_stride;
        float *out = c + m0 * ldc + column;
        if (b.column_stride == 1 && width % 16 == 0) {
            kernels_.gemm(
                {m1 - m0, width, k, left, a.row_stride, a.column_stride, b.data + column, b.row_stride, out, ldc, add});
            return;
        }
        bool sum = add;
        for (int64_t k0 = 0; k0 < k; k0 += kDepth) {
            const int64_t depth = std::min(kDepth, k - k0);
            const float *from = b.data + column * b.column_stride + k0 * b.row_stride;
            float *packed = panel(thread);
            if (b.row_stride == 1) {
                for (int64_t j = 0; j < width; j += 16)
                    kernels_.transpose(from + j * b.column_stride, b.column_stride,
                                       static_cast<int>(std::min<int64_t>(16, width - j)), depth, packed,
                                       static_cast<int>(j));
            } else {
                for (int64_t i = 0; i < depth; ++i)
                    for (int64_t j = 0; j < width; ++j)
                        packed[i * kPanel + j] = from[i * b.row_stride + j * b.column_stride];
            }
            if (width % 16 != 0)
                for (int64_t i = 0; i < depth; ++i)
                    std::memset(packed + i * kPanel + width, 0, static_cast<size_t>(16 - width % 16) * sizeof(float));
            kernels_.gemm({m1 - m0, width, depth, left + k0 * a.column_stride, a.row_stride, a.column_stride, packed,
                           kPanel, out, ldc, sum});
            sum = true;
        }
    };
    split_panels(pool_, ceil_div(n, kPanel), m, false, piece);
}

}  // namespace slm
