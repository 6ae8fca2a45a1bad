// Speed of a training step and of a forward on a model of random blocks, beside this machine's peak rate of f32 fused
// multiply-adds measured in the same run. Prints ratios: the machine's own speed cancels.
//   slimming_step_bench [type] [sequences] [tokens] [rounds] [shape] [compute]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/random.hpp"
#include "core/thread_pool.hpp"
#include "quant/quant.hpp"
#include "slimming.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void check(slm_status status, const char *error) {
    if (status == SLM_STATUS_OK) return;
    std::fprintf(stderr, "%s\n", error);
    std::exit(1);
}

// Sixteen independent chains of fused multiply-adds that never leave the registers.
__attribute__((target("avx512f"))) double fma_loop_512(int64_t rounds) {
    __m512 x[16];
    for (int i = 0; i < 16; ++i) x[i] = _mm512_set1_ps(1.0f + 0.001f * static_cast<float>(i));
    const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
    for (int64_t r = 0; r < rounds; ++r)
        for (int i = 0; i < 16; ++i) x[i] = _mm512_fmadd_ps(x[i], a, b);
    double sum = 0;
    for (int i = 0; i < 16; ++i) sum += static_cast<double>(_mm512_cvtss_f32(x[i]));
    return sum;
}

__attribute__((target("avx2,fma"))) double fma_loop_256(int64_t rounds) {
    __m256 x[12];
    for (int i = 0; i < 12; ++i) x[i] = _mm256_set1_ps(1.0f + 0.001f * static_cast<float>(i));
    const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
    for (int64_t r = 0; r < rounds; ++r)
        for (int i = 0; i < 12; ++i) x[i] = _mm256_fmadd_ps(x[i], a, b);
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(_mm256_cvtss_f32(x[i]));
    return sum;
}

// GFLOP/s of all threads together.
double peak_gflops(int n_threads) {
    const bool wide = __builtin_cpu_supports("avx512f");
    const int64_t rounds = 20'000'000;
    const double flops = static_cast<double>(rounds) * (wide ? 16 * 16 * 2 : 12 * 8 * 2) * n_threads;
    std::atomic<double> sink{0};
    const auto start = Clock::now();
    std::vector<std::thread> threads;
    for (int i = 0; i < n_threads; ++i)
        threads.emplace_back([&] { sink = sink + (wide ? fma_loop_512(rounds) : fma_loop_256(rounds)); });
    for (auto &thread : threads) thread.join();
    return flops / seconds_since(start) / 1e9;
}

struct Shape {
    const char *name;
    int n_layer, n_embd, n_head, n_head_kv, n_embd_head, n_ff, n_vocab;
};

constexpr Shape kShapes[] = {
    {"smollm2-135m", 30, 576, 9, 3, 64, 1536, 49152},
    {"llama-3.2-1b", 16, 2048, 32, 8, 64, 8192, 128256},
};

struct Weights {
    std::vector<std::string> names;
    std::vector<std::vector<uint8_t>> data;
    std::vector<slm_tensor> tensors;

    void add(const std::string &name, const slm::QuantType &type, int64_t columns, int64_t rows) {
        std::vector<uint8_t> bytes(static_cast<size_t>(columns / type.block_values * type.block_bytes * rows));
        const uint64_t key = slm::hash_name(name.c_str());
        for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
            const uint64_t draw = slm::random_bits(key, i);
            std::memcpy(bytes.data() + i, &draw, 8);
        }
        const uint16_t scale = 0x1400, offset = 0xA400;  // small f16 numbers
        for (size_t b = 0; b < bytes.size(); b += static_cast<size_t>(type.block_bytes)) {
            if (type.id == 0) {
                const float one = rows == 1 ? 1.0f : static_cast<float>(static_cast<int8_t>(bytes[b])) * 1e-4f;
                std::memcpy(bytes.data() + b, &one, 4);
            } else if (type.id == 14) {
                std::memcpy(bytes.data() + b + 208, &scale, 2);
            } else {
                std::memcpy(bytes.data() + b, &scale, 2);
                if (type.id == 3 || type.id == 7) std::memcpy(bytes.data() + b + 2, &offset, 2);
                if (type.id == 12 || type.id == 13) std::memcpy(bytes.data() + b + 2, &scale, 2);
            }
        }
        names.push_back(name);
        data.push_back(std::move(bytes));
        slm_tensor t{};
        t.size = sizeof t;
        t.type = type.id;
        t.n_dims = rows == 1 ? 1 : 2;
        t.ne[0] = columns;
        t.ne[1] = rows;
        t.ne[2] = t.ne[3] = 1;
        tensors.push_back(t);
    }
    void finish() {
        for (size_t i = 0; i < tensors.size(); ++i) {
            tensors[i].name = names[i].c_str();
            tensors[i].data = data[i].data();
            tensors[i].n_bytes = data[i].size();
        }
    }
};

const slm::QuantType &type_named(const std::string &name) {
    for (uint32_t id = 0; id < 64; ++id)
        if (const slm::QuantType *type = slm::find_quant_type(id); type != nullptr && name == type->name) return *type;
    std::fprintf(stderr, "unknown type %s\n", name.c_str());
    std::exit(2);
}

Weights make_weights(const Shape &s, const slm::QuantType &type) {
    Weights w;
    const slm::QuantType &f32 = *slm::find_quant_type(0), &q8 = *slm::find_quant_type(8);
    const int64_t q = s.n_head * s.n_embd_head, kv = s.n_head_kv * s.n_embd_head;
    w.add("token_embd.weight", q8, s.n_embd, s.n_vocab);
    w.add("output_norm.weight", f32, s.n_embd, 1);
    for (int i = 0; i < s.n_layer; ++i) {
        const std::string p = "blk." + std::to_string(i) + ".";
        w.add(p + "attn_norm.weight", f32, s.n_embd, 1);
        w.add(p + "attn_q.weight", type, s.n_embd, q);
        w.add(p + "attn_k.weight", type, s.n_embd, kv);
        w.add(p + "attn_v.weight", type, s.n_embd, kv);
        w.add(p + "attn_output.weight", type, q, s.n_embd);
        w.add(p + "ffn_norm.weight", f32, s.n_embd, 1);
        w.add(p + "ffn_gate.weight", type, s.n_embd, s.n_ff);
        w.add(p + "ffn_up.weight", type, s.n_embd, s.n_ff);
        w.add(p + "ffn_down.weight", type, s.n_ff, s.n_embd);
    }
    w.finish();
    return w;
}

double median(std::vector<double> x) {
    std::sort(x.begin(), x.end());
    return x[x.size() / 2];
}

long peak_rss_mib() {
    long kib = 0;
    if (FILE *file = std::fopen("/proc/self/status", "r")) {
        char line[256];
        while (std::fgets(line, sizeof line, file))
            if (std::sscanf(line, "VmHWM: %ld", &kib) == 1) break;
        std::fclose(file);
    }
    return kib / 1024;
}

}  // namespace

int main(int argc, char **argv) {
    const slm::QuantType &type = type_named(argc > 1 ? argv[1] : "q4_1");
    const int sequences = argc > 2 ? std::atoi(argv[2]) : 4, length = argc > 3 ? std::atoi(argv[3]) : 256;
    const int rounds = argc > 4 ? std::atoi(argv[4]) : 5;
    const Shape &shape = kShapes[argc > 5 && std::strcmp(argv[5], kShapes[1].name) == 0 ? 1 : 0];
    char error[512];

    const Weights weights = make_weights(shape, type);
    slm_runtime_params runtime_params{sizeof runtime_params, 0, 0};
    slm_runtime *runtime = nullptr;
    check(slm_runtime_create(&runtime_params, &runtime, error, sizeof error), error);
    slm_runtime_info info{};
    info.size = sizeof info;
    check(slm_runtime_get_info(runtime, &info, error, sizeof error), error);

    slm_model_params p{};
    p.size = sizeof p;
    p.architecture = "llama";
    p.n_layer = shape.n_layer;
    p.n_embd = shape.n_embd;
    p.n_head = shape.n_head;
    p.n_head_kv = shape.n_head_kv;
    p.n_embd_head = p.n_rot = shape.n_embd_head;
    p.n_ff = shape.n_ff;
    p.n_vocab = shape.n_vocab;
    p.norm_rms_epsilon = 1e-5f;
    p.rope_freq_base = 100000;
    p.rope_freq_scale = p.embedding_scale = 1;
    p.attention_scale = 0.125f;
    slm_model *model = nullptr;
    check(slm_model_create(runtime, &p, weights.tensors.data(), static_cast<int64_t>(weights.tensors.size()), &model,
                           error, sizeof error),
          error);
    slm_adapter_params a{};
    a.size = sizeof a;
    a.method = SLM_METHOD_LORA;
    a.targets = 127;
    a.rank = 16;
    a.scale = 1;
    slm_adapter *adapter = nullptr;
    check(slm_adapter_create(model, &a, &adapter, error, sizeof error), error);
    slm_context_params c{};
    c.size = sizeof c;
    c.micro_batch_tokens = 512;
    c.max_sequence_tokens = length;
    const bool bf16 = argc > 6 && std::strcmp(argv[6], "bf16") == 0;
    c.compute = bf16 ? SLM_COMPUTE_BF16 : SLM_COMPUTE_F32;
    c.training = 1;
    slm_plan plan{};
    plan.size = sizeof plan;
    check(slm_context_plan(model, adapter, &c, &plan, error, sizeof error), error);
    slm_context *context = nullptr;
    check(slm_context_create(model, adapter, &c, &context, error, sizeof error), error);

    const int per_batch = std::max(1, plan.fill_tokens / length);
    std::vector<int32_t> tokens, targets;
    std::vector<int64_t> offsets;
    for (int i = 0; i < per_batch * length; ++i) {
        tokens.push_back(
            static_cast<int32_t>(slm::random_bits(1, static_cast<uint64_t>(i)) % static_cast<uint64_t>(shape.n_vocab)));
        targets.push_back(
            static_cast<int32_t>(slm::random_bits(2, static_cast<uint64_t>(i)) % static_cast<uint64_t>(shape.n_vocab)));
    }
    for (int i = 0; i <= per_batch; ++i) offsets.push_back(static_cast<int64_t>(i) * length);
    slm_batch batch{sizeof batch,   static_cast<int64_t>(tokens.size()),
                    per_batch,      tokens.data(),
                    nullptr,        offsets.data(),
                    targets.data(), nullptr};
    std::vector<double> losses(static_cast<size_t>(per_batch));
    std::vector<int64_t> counts(losses.size());
    slm_step_params step{};
    step.size = sizeof step;
    step.learning_rate = 1e-4;
    step.beta1 = 0.9;
    step.beta2 = 0.999;
    step.epsilon = 1e-8;
    step.max_grad_norm = 1;
    slm_step_result result{};
    result.size = sizeof result;

    std::vector<double> peak, train, forward;
    const double n_tokens = static_cast<double>(sequences * length);
    for (int round = 0; round <= rounds; ++round) {
        const double rate = peak_gflops(info.n_threads);
        auto start = Clock::now();
        step.n_targets = 0;
        for (int done = 0; done < sequences; done += per_batch) {
            check(slm_context_accumulate(context, &batch, losses.data(), counts.data(), error, sizeof error), error);
            for (int64_t n : counts) step.n_targets += n;
        }
        step.step = round + 1;
        check(slm_context_step(context, &step, &result, error, sizeof error), error);
        const double step_seconds = seconds_since(start);
        start = Clock::now();
        for (int done = 0; done < sequences; done += per_batch)
            check(slm_context_evaluate(context, &batch, losses.data(), counts.data(), error, sizeof error), error);
        const double forward_seconds = seconds_since(start);
        if (round == 0) continue;  // warm-up
        peak.push_back(rate);
        train.push_back(n_tokens / step_seconds / rate);
        forward.push_back(n_tokens / forward_seconds / rate);
    }
    std::printf("%s %s, %d x %d tokens, rank 16 on 7 linears, %s, %s, %d threads\n", shape.name, type.name, sequences,
                length, bf16 ? "bf16" : "f32", info.cpu_name, info.n_threads);
    std::printf(
        "peak f32 GFLOP/s %.0f | step: %.0f tokens/s, %.3f per peak GFLOP/s (%.3f to %.3f) | forward: %.0f "
        "tokens/s, %.3f | planned %.0f MiB, peak RSS %ld MiB\n",
        median(peak), median(train) * median(peak), median(train), *std::min_element(train.begin(), train.end()),
        *std::max_element(train.begin(), train.end()), median(forward) * median(peak), median(forward),
        static_cast<double>(plan.total_bytes) / 1048576, peak_rss_mib());
    slm_context_free(context);
    slm_adapter_free(adapter);
    slm_model_free(model);
    slm_runtime_free(runtime);
}
