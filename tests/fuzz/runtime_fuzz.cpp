// Runtimes of a few threads or a number that is refused, and their self-checks; sizes of structs by any number.
#include "fuzz.hpp"

using namespace slm_fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Input in(data, size);
    Answer answer;
    slm_sizeof(in.mostly<uint32_t>(0, 15));
    slm_runtime_params params = sized<slm_runtime_params>();
    params.n_threads = in.mostly<int32_t>(0, 6);
    if (params.n_threads > 16 && params.n_threads <= 1024) return 0;  // only as many threads as that
    if (in.whole(0, 31) == 0) params.size = in.raw<uint64_t>();
    slm_runtime *made = nullptr;
    if (!answer(slm_runtime_create(&params, &made, answer.text, sizeof answer.text))) return 0;
    const std::unique_ptr<slm_runtime, Freer<slm_runtime, slm_runtime_free>> runtime(made);
    slm_runtime_info info = sized<slm_runtime_info>();
    if (answer(slm_runtime_get_info(made, &info, answer.text, sizeof answer.text)) &&
        (info.n_threads < 1 || std::memchr(info.cpu_name, 0, sizeof info.cpu_name) == nullptr))
        std::abort();
    slm_self_check check = sized<slm_self_check>();
    int32_t n_checks = 0;
    const int32_t index = in.mostly<int32_t>(-1, 12);
    if (answer(slm_runtime_self_check(made, index, &check, &n_checks, answer.text, sizeof answer.text)) &&
        check.passed == 0)
        std::abort();
    return 0;
}
