// Contexts of any size and mode; batches that are sound or nearly; steps with any numbers; blocks, profile, trace and
// cancel between them.
#include "fuzz.hpp"

using namespace slm_fuzz;

namespace {

struct Sequences {
    std::vector<int32_t> tokens, positions, targets;
    std::vector<int64_t> offsets{0}, parents;
    std::vector<uint64_t> keys;
    slm_batch batch = sized<slm_batch>();

    Sequences(Input &in, int32_t n_vocab) {
        for (int64_t s = in.whole(1, 4); s > 0; --s) {
            for (int64_t t = in.whole(1, 12); t > 0; --t) {
                tokens.push_back(in.mostly<int32_t>(0, n_vocab - 1));
                targets.push_back(in.mostly<int32_t>(-1, n_vocab - 1));
                positions.push_back(in.mostly<int32_t>(0, 12));
            }
            offsets.push_back(static_cast<int64_t>(tokens.size()));
            keys.push_back(in.raw<uint16_t>());
            parents.push_back(in.mostly<int64_t>(-1, static_cast<int64_t>(parents.size()) - 1));
        }
        // Inside the arrays a wrong offset is the library's to find; their ends are the caller's word.
        if (in.whole(0, 15) == 0)
            offsets[static_cast<size_t>(in.whole(0, static_cast<int64_t>(offsets.size()) - 1))] = in.raw<int64_t>();
        batch.n_tokens = static_cast<int64_t>(tokens.size());
        batch.n_sequences = static_cast<int64_t>(keys.size());
        if (in.whole(0, 15) == 0) batch.n_tokens = in.whole(-1, batch.n_tokens);
        if (in.whole(0, 15) == 0) batch.n_sequences = in.whole(-1, batch.n_sequences);
        batch.tokens = tokens.data();
        batch.positions = in.flag() ? positions.data() : nullptr;
        batch.offsets = offsets.data();
        batch.targets = in.whole(0, 7) == 0 ? nullptr : targets.data();
        batch.sample_keys = in.flag() ? keys.data() : nullptr;
        batch.parents = in.flag() ? parents.data() : nullptr;
    }
};

// Any value anywhere in a block: parameters, gradients and moments belong to the caller between calls.
void write_block(Input &in, slm_context *context) {
    Answer answer;
    float *values = nullptr;
    uint64_t n = 0;
    const uint32_t block = in.mostly<uint32_t>(0, 3);
    if (!answer(slm_context_get_block(context, block, &values, &n, answer.text, sizeof answer.text))) return;
    for (uint64_t i = 0; i < n; i += 1 + n / 8) values[i] = in.raw<float>();
}

void use(Input &in, slm_context *context, const Decoder &decoder) {
    Answer answer;
    std::vector<slm_trace_event> events(static_cast<size_t>(in.whole(0, 40)));
    if (!events.empty())
        answer(slm_context_trace(context, events.data(), events.size(), answer.text, sizeof answer.text));
    for (int64_t call = in.whole(1, 4); call > 0; --call) {
        const Sequences sequences(in, decoder.params.n_vocab);
        double losses[8];
        int64_t counts[8];
        int64_t rows[4];
        std::vector<float> logits(static_cast<size_t>(4 * decoder.params.n_vocab));
        slm_step_params step = sized<slm_step_params>();
        slm_step_result result = sized<slm_step_result>();
        slm_profile profile = sized<slm_profile>();
        int32_t targets[4], tops[4];
        double logprobs[4];
        switch (in.whole(0, 8)) {
            case 0:
            case 1:
                answer(
                    slm_context_accumulate(context, &sequences.batch, losses, counts, answer.text, sizeof answer.text));
                break;
            case 2:
                answer(
                    slm_context_evaluate(context, &sequences.batch, losses, counts, answer.text, sizeof answer.text));
                break;
            case 3:
                for (int64_t &row : rows) row = in.mostly<int64_t>(0, 8);
                answer(slm_context_logits(context, &sequences.batch, rows, in.whole(0, 4), logits.data(), answer.text,
                                          sizeof answer.text));
                break;
            case 4:
                for (int64_t i = 0; i < 4; ++i) {
                    rows[i] = in.mostly<int64_t>(i, 8);
                    targets[i] = in.mostly<int32_t>(0, decoder.params.n_vocab - 1);
                }
                answer(slm_context_score(context, &sequences.batch, rows, targets, in.whole(0, 4), logprobs, tops,
                                         answer.text, sizeof answer.text));
                break;
            case 5:
                write_block(in, context);
                break;
            case 6:
                slm_context_cancel(context, in.raw<uint8_t>() & 1);
                answer(slm_context_get_profile(context, &profile, answer.text, sizeof answer.text));
                break;
            default:
                step.step = in.mostly<int64_t>(1, 5);
                step.n_targets = in.mostly<int64_t>(1, 20);
                step.learning_rate = in.flag() ? in.raw<double>() : 1e-3;
                step.beta1 = in.flag() ? in.raw<double>() : 0.9;
                step.beta2 = in.flag() ? in.raw<double>() : 0.99;
                step.epsilon = in.flag() ? in.raw<double>() : 1e-8;
                step.weight_decay = in.flag() ? in.raw<double>() : 0.1;
                step.max_grad_norm = in.flag() ? in.raw<double>() : 1.0;
                step.decay_norms = in.raw<uint8_t>() & 1;
                answer(slm_context_step(context, &step, &result, answer.text, sizeof answer.text));
        }
    }
    answer(slm_context_trace(context, nullptr, 0, answer.text, sizeof answer.text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Input in(data, size);
    const Decoder decoder(in, false);
    const Model model = decoder.create();
    if (!model) return 0;
    slm_adapter_params adapter_params = sized<slm_adapter_params>();
    adapter_params.method = static_cast<uint32_t>(in.whole(1, 2));
    adapter_params.targets = static_cast<uint32_t>(in.whole(1, 127));
    adapter_params.rank = static_cast<int32_t>(in.whole(1, 5));
    adapter_params.scale = 1;
    adapter_params.dropout = in.flag() ? 0.3f : 0.0f;
    slm_adapter *made = nullptr;
    Answer answer;
    answer(slm_adapter_create(model.get(), &adapter_params, &made, answer.text, sizeof answer.text));
    const Adapter adapter(made);
    slm_context_params params = sized<slm_context_params>();
    params.micro_batch_tokens = in.mostly<int32_t>(1, 40);
    params.max_sequence_tokens = in.mostly<int32_t>(1, 50);
    params.compute = in.mostly<uint32_t>(1, 3);
    params.training = in.whole(0, 3) > 0;
    params.logit_rows = in.mostly<int32_t>(0, 9);
    slm_plan plan = sized<slm_plan>();
    slm_adapter *given = in.whole(0, 7) > 0 ? adapter.get() : nullptr;
    // What a sound caller looks at before it creates a context: the memory.
    if (!answer(slm_context_plan(model.get(), given, &params, &plan, answer.text, sizeof answer.text)) ||
        plan.total_bytes > (64u << 20))
        return 0;
    slm_context *context = nullptr;
    if (!answer(slm_context_create(model.get(), given, &params, &context, answer.text, sizeof answer.text))) return 0;
    const Context owned(context);
    use(in, context, decoder);
    return 0;
}
