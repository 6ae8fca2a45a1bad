// Every dequantize loop and the table of them. All of it has internal linkage: a file compiled for a newer instruction
// set includes this header and gets its own copies, which the compiler vectorises for that set.
#pragma once

#include "quant/blocks_iq.hpp"
#include "quant/blocks_k.hpp"
#include "quant/blocks_plain.hpp"
#include "quant/blocks_small.hpp"
#include "quant/quant.hpp"

namespace slm {
namespace {

constexpr QuantType quant_types[] = {
    {0, "f32", 1, 4, dequantize_f32},
    {1, "f16", 1, 2, dequantize_f16},
    {2, "q4_0", 32, 18, dequantize_q4_0},
    {3, "q4_1", 32, 20, dequantize_q4_1},
    {6, "q5_0", 32, 22, dequantize_q5_0},
    {7, "q5_1", 32, 24, dequantize_q5_1},
    {8, "q8_0", 32, 34, dequantize_q8_0},
    {10, "q2_k", 256, 84, dequantize_q2_k},
    {11, "q3_k", 256, 110, dequantize_q3_k},
    {12, "q4_k", 256, 144, dequantize_q4_k},
    {13, "q5_k", 256, 176, dequantize_q5_k},
    {14, "q6_k", 256, 210, dequantize_q6_k},
    {16, "iq2_xxs", 256, 66, dequantize_iq2_xxs},
    {17, "iq2_xs", 256, 74, dequantize_iq2_xs},
    {18, "iq3_xxs", 256, 98, dequantize_iq3_xxs},
    {19, "iq1_s", 256, 50, dequantize_iq1_s},
    {20, "iq4_nl", 32, 18, dequantize_iq4_nl},
    {21, "iq3_s", 256, 110, dequantize_iq3_s},
    {22, "iq2_s", 256, 82, dequantize_iq2_s},
    {23, "iq4_xs", 256, 136, dequantize_iq4_xs},
    {29, "iq1_m", 256, 56, dequantize_iq1_m},
    {30, "bf16", 1, 2, dequantize_bf16},
    {34, "tq1_0", 256, 54, dequantize_tq1_0},
    {35, "tq2_0", 256, 66, dequantize_tq2_0},
    {39, "mxfp4", 32, 17, dequantize_mxfp4},
    {40, "nvfp4", 64, 36, dequantize_nvfp4},
};

}  // namespace
}  // namespace slm
