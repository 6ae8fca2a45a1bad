// Products with packed panels. Quantized weights are unpacked a panel at a time and never exist whole.
#include <algorithm>
#include <cstring>

#include "cpu/cpu_backend.hpp"
#include "cpu/panels.hpp"

namespace slm {

namespace {

// Cuts panels x row tiles into contiguous shares; consecutive tiles of one panel come as one range, packed once.
template <typename Body>
void split_panels(ThreadPool &pool, int64_t panels, int64_t rows, int64_t row_tile, const Body &body) {
    const int64_t tiles = ceil_div(rows, row_tile);
    pool.split(panels * tiles, [&](int64_t begin, int64_t end, int thread) {
        while (begin < end) {
            const int64_t panel = begin / tiles, first = begin % tiles;
            const int64_t last = std::min(tiles, first + end - begin);
            body(panel, first * row_tile, std::min(rows, last * row_tile), thread);
            begin += last - first;
        }
    });
}

}  // namespace

int64_t CpuBackend::precision_scratch(slm_compute compute, int64_t T, int64_t columns) const {
    return compute == SLM_COMPUTE_F32 ? 0 : T * (columns + 8) * 2;  // rows of odd length are padded
}

CpuBackend::Operand CpuBackend::round(int64_t T, int64_t columns, const float *x, int64_t ldx, uint16_t *out,
                                      int64_t ld_out) const {
    pool_.split(T, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = begin; t < end; ++t) {
            kernels_.to_bf16(columns, x + t * ldx, out + t * ld_out);
            if (columns % 2 != 0) out[t * ld_out + columns] = 0;
        }
    });
    return {nullptr, out, ld_out};
}

// panel[k - k0][j] = W[row + j][k]
void CpuBackend::pack_outputs(const Weight &w, int64_t row, int64_t n_rows, int64_t k0, int64_t k1, int thread) const {
    const QuantType &type = type_of(w);
    float *out = panel(thread), *rows = row_block(thread);
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

// panel p, [k - k0][j] = W[k][column + p*kPanel + j]; panels lie depth*kPanel apart
void CpuBackend::pack_inputs(const Weight &w, int64_t column, int64_t n_columns, int64_t k0, int64_t k1, int64_t depth,
                             int thread) const {
    const QuantType &type = type_of(w);
    float *out = panel(thread), *part = row(thread);
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

void CpuBackend::multiply_panel(const Operand &a, int64_t m0, int64_t m1, int64_t n, int64_t k0, int64_t k1,
                                int64_t panel_at, float *c, int64_t ldc, bool add, int thread) const {
    if (a.f32 != nullptr)
        kernels_.gemm(
            {m1 - m0, n, k1 - k0, a.f32 + m0 * a.ld + k0, a.ld, 1, panel(thread) + panel_at, kPanel, c, ldc, add});
    else
        kernels_.gemm_bf16(
            {m1 - m0, n, k1 - k0, a.bf16 + m0 * a.ld + k0, a.ld, panel_bf16(thread) + panel_at, c, ldc, add});
}

void CpuBackend::linear_panel(const LinearOutput &out, const Operand *operands, int64_t row, int64_t m0, int64_t m1,
                              int thread) const {
    const int64_t n = std::min<int64_t>(kPanel, out.terms[0].w.rows - row);
    bool add = out.add;
    for (int i = 0; i < out.n_terms; ++i) {
        const Weight &w = out.terms[i].w;
        const bool rounded = operands[i].f32 == nullptr;
        const int64_t depth = rounded ? 2 * kDepth : kDepth;
        for (int64_t k0 = 0; k0 < w.columns; k0 += depth) {
            const int64_t k1 = std::min(w.columns, k0 + depth);
            if (rounded)
                pack_outputs_bf16(w, row, n, k0, k1, thread);
            else
                pack_outputs(w, row, n, k0, k1, thread);
            multiply_panel(operands[i], m0, m1, n, k0, k1, 0, out.y + m0 * out.ldy + row, out.ldy, add, thread);
            add = true;
        }
    }
    if (out.bias != nullptr)
        for (int64_t m = m0; m < m1; ++m) kernels_.add(n, out.bias + row, out.y + m * out.ldy + row);
}

void CpuBackend::linear(int64_t T, const LinearOutput *outputs, int n_outputs, const Precision &precision) {
    const LinearTerm &shared = outputs[0].terms[0];
    Operand input{shared.x, nullptr, shared.ldx};
    if (precision.compute != SLM_COMPUTE_F32) {
        const int64_t ld = ceil_div(shared.w.columns, 2) * 2;
        input = round(T, shared.w.columns, shared.x, shared.ldx, static_cast<uint16_t *>(precision.scratch), ld);
    }
    int64_t panels = 0;
    for (int i = 0; i < n_outputs; ++i) panels += ceil_div(outputs[i].terms[0].w.rows, kPanel);
    split_panels(pool_, panels, T, kRowTile, [&](int64_t panel, int64_t m0, int64_t m1, int thread) {
        const LinearOutput *out = outputs;
        for (int64_t own; panel >= (own = ceil_div(out->terms[0].w.rows, kPanel)); ++out) panel -= own;
        const Operand operands[2] = {input, {out->terms[1].x, nullptr, out->terms[1].ldx}};
        linear_panel(*out, operands, panel * kPanel, m0, m1, thread);
    });
}

// forward: y[t, k] = sum_j x[t, j] W[k, j]
void CpuBackend::linear_backward_group(const LinearGradTerm *terms, const Operand *operands, int n_terms,
                                       int64_t column, int64_t width, int64_t group, int64_t m0, int64_t m1, float *dx,
                                       int64_t lddx, bool add, int thread) const {
    for (int i = 0; i < n_terms; ++i) {
        const Weight &w = terms[i].w;
        const bool rounded = operands[i].f32 == nullptr;
        const int64_t depth = (rounded ? 2 * kDepth : kDepth) * kPanel / group;
        for (int64_t k0 = 0; k0 < w.rows; k0 += depth) {
            const int64_t k1 = std::min(w.rows, k0 + depth);
            if (rounded)
                pack_inputs_bf16(w, column, width, k0, k1, depth, thread);
            else
                pack_inputs(w, column, width, k0, k1, depth, thread);
            for (int64_t j = 0; j < width; j += kPanel)
                multiply_panel(operands[i], m0, m1, std::min<int64_t>(kPanel, width - j), k0, k1,
                               j / kPanel * depth * kPanel, dx + m0 * lddx + column + j, lddx, add, thread);
            add = true;
        }
    }
}

void CpuBackend::linear_backward(int64_t T, const LinearGradTerm *terms, int n_terms, float *dx, int64_t lddx, bool add,
                                 const Precision &precision) {
    constexpr int max_terms = 8;
    if (n_terms > max_terms) fail(SLM_STATUS_INTERNAL, "%d terms of one gradient, at most %d", n_terms, max_terms);
    const int64_t columns = terms[0].w.columns;
    Operand operands[max_terms];
    uint16_t *scratch = static_cast<uint16_t *>(precision.scratch);
    int64_t group = kPanel;
    for (int i = 0; i < n_terms; ++i) {
        const LinearGradTerm &term = terms[i];
        group = std::max<int64_t>(group, term.w.type->block_values);
        operands[i] = {term.dy, nullptr, term.lddy};
        if (precision.compute == SLM_COMPUTE_F32 || term.exact) continue;
        // Rounded in place, a row keeps its stride in bytes; else rows are packed.
        const bool in_place = precision.scratch == static_cast<const void *>(term.dy);
        const int64_t ld = in_place ? 2 * term.lddy : ceil_div(term.w.rows, 2) * 2;
        operands[i] = round(T, term.w.rows, term.dy, term.lddy, scratch, ld);
        scratch += T * ld;
    }
    split_panels(pool_, ceil_div(columns, group), T, kRowTile, [&](int64_t index, int64_t m0, int64_t m1, int thread) {
        const int64_t column = index * group;
        linear_backward_group(terms, operands, n_terms, column, std::min(group, columns - column), group, m0, m1, dx,
                              lddx, add, thread);
    });
}

void CpuBackend::matmul(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, float *c, int64_t ldc, bool add) {
    split_panels(pool_, ceil_div(n, kPanel), m, kRowTile, [&](int64_t index, int64_t m0, int64_t m1, int thread) {
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
    });
}

}  // namespace slm
