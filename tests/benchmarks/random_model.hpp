// A model of random blocks in the shape of a known one, written as a GGUF file piece by piece and mapped, so that
// neither writing nor reading it costs memory of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "quant/quant.hpp"
#include "slimming.h"

namespace bench {

struct Shape {
    const char *name;
    const char *architecture;
    int n_layer, n_embd, n_head, n_head_kv, n_embd_head, n_ff, n_vocab;
    bool tied;
    float rope_base;
    const char *embedding_type;  // as llama.cpp's quantizer chooses it; nullptr: the linears' type
};

const Shape &shape_named(const std::string &name);
const slm::QuantType &type_named(std::string_view name);

class RandomModel {
 public:
    // Writes `path` unless it exists with the expected size. type: a name of the quant table, or "q4_k_m", llama.cpp's
    // mix of Q4_K and Q6_K. n_layer 0: the shape's own.
    RandomModel(const std::string &path, const Shape &shape, const std::string &type, int n_layer);
    ~RandomModel();
    RandomModel(const RandomModel &) = delete;
    RandomModel &operator=(const RandomModel &) = delete;

    const slm_model_params &params() const { return params_; }
    const std::vector<slm_tensor> &tensors() const { return tensors_; }
    uint64_t file_bytes() const { return file_bytes_; }

 private:
    struct Entry {
        std::string name;
        const slm::QuantType *type;
        int64_t columns, rows;
        uint64_t offset, bytes;
    };
    void add(const std::string &name, const slm::QuantType &type, int64_t columns, int64_t rows);
    void plan(const std::string &type);
    std::string header() const;
    void write(const std::string &path, const std::string &head) const;

    Shape shape_;
    slm_model_params params_{};
    std::vector<Entry> entries_;
    std::vector<slm_tensor> tensors_;
    uint64_t data_bytes_ = 0, file_bytes_ = 0;
    void *mapping_ = nullptr;
};

}  // namespace bench
