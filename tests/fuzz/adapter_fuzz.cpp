// Adapters of any method, rank and targets on a sound model: what they list, their parameters, merged weights.
#include "fuzz.hpp"

using namespace slm_fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Input in(data, size);
    const Decoder decoder(in, false);
    const Model model = decoder.create();
    if (!model) return 0;
    slm_adapter_params params = sized<slm_adapter_params>();
    params.method = in.mostly<uint32_t>(1, 2);
    params.targets = in.mostly<uint32_t>(1, 127);
    params.rank = in.mostly<int32_t>(1, 20);
    params.scale = in.flag() ? in.raw<float>() : 1.0f;
    params.dropout = in.flag() ? in.raw<float>() : 0.1f;
    params.seed = in.raw<uint64_t>();
    slm_adapter *made = nullptr;
    Answer answer;
    if (!answer(slm_adapter_create(model.get(), &params, &made, answer.text, sizeof answer.text))) return 0;
    const Adapter adapter(made);
    int64_t count = 0;
    uint64_t values = 0, own = 0;
    answer(slm_adapter_get_count(adapter.get(), &count, &values, answer.text, sizeof answer.text));
    slm_trainable trainable = sized<slm_trainable>();
    const int64_t index = in.mostly<int64_t>(0, count);
    if (answer(slm_adapter_get_trainable(adapter.get(), index, &trainable, answer.text, sizeof answer.text)) &&
        trainable.offset + trainable.n_values > values)
        std::abort();
    float *parameters = nullptr;
    answer(slm_adapter_get_parameters(adapter.get(), &parameters, &own, answer.text, sizeof answer.text));
    if (own != values) std::abort();
    for (uint64_t i = 0; i < own; i += 1 + own / 16) parameters[i] = in.raw<float>();
    const slm_tensor &tensor =
        decoder.tensors[static_cast<size_t>(in.whole(0, static_cast<int64_t>(decoder.tensors.size()) - 1))];
    const bool known = in.whole(0, 15) > 0, fits = in.whole(0, 15) > 0;
    std::vector<float> out(static_cast<size_t>(fits ? tensor.ne[0] * tensor.ne[1] : in.whole(0, 8192)));
    answer(slm_adapter_merge_weight(adapter.get(), known ? tensor.name : "no such weight", out.data(),
                                    static_cast<int64_t>(out.size()), answer.text, sizeof answer.text));
    return 0;
}
