// Every dequantize loop and the table of them. All of it has internal linkage: a file compiled for a newer instruction
// set includes this header and gets its own copies, which the compiler vectorises for that set.
#pragma once

#include "quant/blocks_k.hpp"
#include "quant/blocks_plain.hpp"
#include "quant/quant.hpp"

namespace slm {
namespace {

constexpr QuantType quant_types[] = {
    {0, "f32", 1, 4, dequantize_f32},        {1, "f16", 1, 2, dequantize_f16},
    {2, "q4_0", 32, 18, dequantize_q4_0},    {3, "q4_1", 32, 20, dequantize_q4_1},
    {6, "q5_0", 32, 22, dequantize_q5_0},    {7, "q5_1", 32, 24, dequantize_q5_1},
    {8, "q8_0", 32, 34, dequantize_q8_0},    {12, "q4_k", 256, 144, dequantize_q4_k},
    {13, "q5_k", 256, 176, dequantize_q5_k}, {14, "q6_k", 256, 210, dequantize_q6_k},
    {30, "bf16", 1, 2, dequantize_bf16},
};

}  // namespace
}  // namespace slm
