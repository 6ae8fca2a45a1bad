// Block formats of GGUF tensors: how large a block is and what its bytes mean.
// Non-goals: quantizing (libggml does it), products on packed blocks (ops/).
#pragma once

#include <cstdint>

namespace slm {

/// One ggml_type. Numbers and layouts are those of llama.cpp's GGUF files.
struct QuantType {
    uint32_t id;       ///< ggml_type number
    const char *name;  ///< "q4_0"
    int block_values;
    int block_bytes;
    /// src: n_values / block_values whole blocks, at any alignment. dst: f32 [n_values], bit-equal with libggml's.
    /// n_values must be a multiple of block_values.
    void (*dequantize)(const void *src, float *dst, int64_t n_values);
};

/// nullptr when the type is unknown.
const QuantType *find_quant_type(uint32_t ggml_type);

}  // namespace slm
