// The table of this file's instruction set; included once by each kernels_*.cpp.
#pragma once

#include "cpu/bf16_kernel.hpp"
#include "cpu/gemm_kernel.hpp"
#include "cpu/lookup.hpp"
#include "cpu/q8_kernel.hpp"
#include "cpu/row_kernels.hpp"
#include "cpu/unpack.hpp"

namespace slm {
namespace {

static Kernels make_kernels(const char *name, slm_isa isa) {
    Kernels k{};
    k.name = name;
    k.isa = isa;
    k.gemm = gemm;
    k.find_type = find_type;
    k.find_pack_rows = find_pack_rows;
    k.find_pack_columns = find_pack_columns;
    k.transpose = transpose;
    k.fast_bf16 = kBf16Instructions;
    k.gemm_bf16 = gemm_bf16;
    k.to_bf16 = to_bf16;
    k.transpose_bf16 = transpose_bf16;
    k.interleave_bf16 = interleave_bf16;
    k.turn_bf16 = turn_bf16;
    k.copy = copy;
    k.find_pack_q8 = find_pack_q8;
    k.gemm_q8 = gemm_q8;
    k.quantize_q8 = quantize_q8;
    k.rms_norm = rms_norm;
    k.rms_norm_backward = rms_norm_backward;
    k.rms_norm_weight_backward = rms_norm_weight_backward;
    k.glu = glu;
    k.glu_backward = glu_backward;
    k.add = add;
    k.scale = scale;
    k.rope = rope;
    k.sum_squares = sum_squares;
    k.softmax_tile = softmax_tile;
    k.softmax_backward = softmax_backward;
    k.dot = dot_values;
    k.cross_entropy = cross_entropy;
    k.log_sum_exp = log_sum_exp;
    k.softcap = softcap;
    k.adamw = adamw;
    k.dropout = dropout;
    return k;
}

}  // namespace
}  // namespace slm
