// slm_dequantize: every type number, any bytes, any length.
#include "fuzz.hpp"

using namespace slm_fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Input in(data, size);
    const uint32_t type = in.mostly<uint32_t>(0, 42);
    const int64_t n_values = in.mostly<int64_t>(0, 2) == 0 ? in.whole(0, 1024) : 256 * in.whole(0, 4);
    const std::vector<uint8_t> source = in.bytes(in.left());
    std::vector<float> out(static_cast<size_t>(n_values));
    Answer answer;
    answer(slm_dequantize(type, source.data(), source.size(), out.data(), n_values, answer.text, sizeof answer.text));
    return 0;
}
