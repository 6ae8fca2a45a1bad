#include "quant/quant.hpp"

#include "quant/blocks.hpp"

namespace slm {

const QuantType *find_quant_type(uint32_t ggml_type) {
    for (const QuantType &type : quant_types) {
        if (type.id == ggml_type) return &type;
    }
    return nullptr;
}

}  // namespace slm
