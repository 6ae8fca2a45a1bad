// slm_model_create: parameters and tensors that fit each other, or nearly.
#include "fuzz.hpp"

using namespace slm_fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Input in(data, size);
    Decoder(in, true).create();
    return 0;
}
