// Speed of a training step and of a forward on a model of random blocks, beside this machine's peak rates measured in
// the same rounds. Ratios are what counts: the machine's own speed cancels. One process measures one case, so that its
// largest resident set is that case's.
//   slimming_step_bench [--shape S] [--type T] [--layers N] [--compute f32|bf16|int8] [--sequences N] [--tokens N]
//                       [--micro-batch N] [--threads N] [--rounds N] [--warmup N] [--file F.gguf] [--no-forward]
//                       [--json] [--peak] [--write]
// --peak measures the peak rates alone; --write only writes the file.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "core/cores.hpp"
#include "core/random.hpp"
#include "peak.hpp"
#include "random_model.hpp"
#include "slimming.h"

#if !defined(NDEBUG) || !defined(__OPTIMIZE__)
#error "speeds are measured in a Release build only"
#endif

namespace {

using bench::Clock;
using bench::seconds_since;

struct Options {
    std::string shape = "smollm2-135m", type = "q4_1", compute = "f32", file;
    int layers = 0, sequences = 4, tokens = 256, micro_batch = 512, threads = 0, rounds = 5, warmup = 1;
    bool json = false, peak = false, write = false, forward = true;
};

[[noreturn]] void usage(const std::string &message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(2);
}

Options parse(int argc, char **argv) {
    Options o;
    const struct {
        const char *name;
        std::string *text;
        int *number;
        bool *flag;
        bool on;
    } table[] = {
        {"--shape", &o.shape, nullptr, nullptr, true},        {"--type", &o.type, nullptr, nullptr, true},
        {"--compute", &o.compute, nullptr, nullptr, true},    {"--file", &o.file, nullptr, nullptr, true},
        {"--layers", nullptr, &o.layers, nullptr, true},      {"--sequences", nullptr, &o.sequences, nullptr, true},
        {"--tokens", nullptr, &o.tokens, nullptr, true},      {"--micro-batch", nullptr, &o.micro_batch, nullptr, true},
        {"--threads", nullptr, &o.threads, nullptr, true},    {"--rounds", nullptr, &o.rounds, nullptr, true},
        {"--warmup", nullptr, &o.warmup, nullptr, true},      {"--json", nullptr, nullptr, &o.json, true},
        {"--peak", nullptr, nullptr, &o.peak, true},          {"--write", nullptr, nullptr, &o.write, true},
        {"--no-forward", nullptr, nullptr, &o.forward, false}};
    for (int i = 1; i < argc; ++i) {
        const auto *row = std::find_if(std::begin(table), std::end(table),
                                       [&](const auto &r) { return std::strcmp(r.name, argv[i]) == 0; });
        if (row == std::end(table)) usage(std::string("unknown option ") + argv[i]);
        if (row->flag != nullptr) {
            *row->flag = row->on;
            continue;
        }
        if (++i == argc) usage(std::string(row->name) + " needs a value");
        if (row->text != nullptr) {
            *row->text = argv[i];
            continue;
        }
        char *end = nullptr;
        *row->number = static_cast<int>(std::strtol(argv[i], &end, 10));
        if (*end != '\0' || *row->number < 0) usage(std::string(row->name) + ": expected a number, found " + argv[i]);
    }
    if (o.sequences < 1 || o.tokens < 1 || o.rounds < 1 || o.micro_batch < 1)
        usage("--sequences, --tokens, --micro-batch and --rounds: expected at least 1");
    return o;
}

slm_compute compute_named(const std::string &name) {
    if (name == "f32") return SLM_COMPUTE_F32;
    if (name == "bf16") return SLM_COMPUTE_BF16;
    if (name == "int8") return SLM_COMPUTE_INT8;
    usage("--compute: expected f32, bf16 or int8, found " + name);
}

char error[512];

void check(slm_status status) {
    if (status == SLM_STATUS_OK) return;
    std::fprintf(stderr, "%s\n", error);
    std::exit(status == SLM_STATUS_UNSUPPORTED ? 3 : 1);
}

// Counts of the kernel for this process; what a measured span adds to them is reported.
struct Usage {
    long minor_faults, voluntary_switches;
    double cpu_seconds;
    static Usage now() {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        const auto seconds = [](const timeval &t) {
            return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
        };
        return {usage.ru_minflt, usage.ru_nvcsw, seconds(usage.ru_utime) + seconds(usage.ru_stime)};
    }
};

constexpr const char *kPhases[] = {"forward", "backward", "attention", "head", "adapter", "optimizer"};
constexpr int kPhaseCount = static_cast<int>(std::size(kPhases));

struct Round {
    double peak_f32, peak_bf16, peak_int8;
    double line_round_trip;  // 0: one thread
    double step_seconds, forward_seconds;
    double cpu_seconds;                     // of all threads, of the step
    long minor_faults, voluntary_switches;  // of the step
    slm_profile step;                       // what it added
};

// Model, adapter and context of one case, and batches that fill them.
class Trainer {
 public:
    Trainer(const bench::RandomModel &weights, const Options &o, slm_runtime *runtime) : o_(o) {
        check(slm_model_create(runtime, &weights.params(), weights.tensors().data(),
                               static_cast<int64_t>(weights.tensors().size()), &model_, error, sizeof error));
        slm_adapter_params a{};
        a.size = sizeof a;
        a.method = SLM_METHOD_LORA;
        a.targets = 127;
        a.rank = 16;
        a.scale = 1;
        check(slm_adapter_create(model_, &a, &adapter_, error, sizeof error));
        slm_context_params c{};
        c.size = sizeof c;
        c.micro_batch_tokens = o.micro_batch;
        c.max_sequence_tokens = o.tokens;
        c.compute = compute_named(o.compute);
        c.training = 1;
        plan.size = sizeof plan;
        check(slm_context_plan(model_, adapter_, &c, &plan, error, sizeof error));
        check(slm_context_create(model_, adapter_, &c, &context_, error, sizeof error));
        per_batch_ = std::min(o.sequences, std::max(1, plan.fill_tokens / o.tokens));
        const uint64_t vocabulary = static_cast<uint64_t>(weights.params().n_vocab);
        for (int i = 0; i < per_batch_ * o.tokens; ++i) {
            tokens_.push_back(static_cast<int32_t>(slm::random_bits(1, static_cast<uint64_t>(i)) % vocabulary));
            targets_.push_back(static_cast<int32_t>(slm::random_bits(2, static_cast<uint64_t>(i)) % vocabulary));
        }
        for (int i = 0; i <= per_batch_; ++i) offsets_.push_back(static_cast<int64_t>(i) * o.tokens);
        losses_.resize(static_cast<size_t>(per_batch_));
        counts_.resize(losses_.size());
    }
    ~Trainer() {
        slm_context_free(context_);
        slm_adapter_free(adapter_);
        slm_model_free(model_);
    }
    Trainer(const Trainer &) = delete;
    Trainer &operator=(const Trainer &) = delete;

    void step() {
        slm_step_params step{};
        step.size = sizeof step;
        step.learning_rate = 1e-4;
        step.beta1 = 0.9;
        step.beta2 = 0.999;
        step.epsilon = 1e-8;
        step.max_grad_norm = 1;
        step.step = ++steps_;
        each_batch([&](const slm_batch &batch) {
            check(slm_context_accumulate(context_, &batch, losses_.data(), counts_.data(), error, sizeof error));
            step.n_targets += batch.n_tokens;
        });
        slm_step_result result{};
        result.size = sizeof result;
        check(slm_context_step(context_, &step, &result, error, sizeof error));
    }
    void forward() {
        each_batch([&](const slm_batch &batch) {
            check(slm_context_evaluate(context_, &batch, losses_.data(), counts_.data(), error, sizeof error));
        });
    }

    slm_profile profile() const {
        slm_profile out{};
        out.size = sizeof out;
        check(slm_context_get_profile(context_, &out, error, sizeof error));
        return out;
    }

    slm_plan plan{};

 private:
    template <typename Body>
    void each_batch(const Body &body) {
        for (int done = 0; done < o_.sequences; done += per_batch_) {
            const int n = std::min(per_batch_, o_.sequences - done);
            slm_batch batch{};
            batch.size = sizeof batch;
            batch.n_tokens = static_cast<int64_t>(n) * o_.tokens;
            batch.n_sequences = n;
            batch.tokens = tokens_.data();
            batch.offsets = offsets_.data();
            batch.targets = targets_.data();
            body(batch);
        }
    }

    const Options &o_;
    slm_model *model_ = nullptr;
    slm_adapter *adapter_ = nullptr;
    slm_context *context_ = nullptr;
    int per_batch_ = 1;
    int64_t steps_ = 0;
    std::vector<int32_t> tokens_, targets_;
    std::vector<int64_t> offsets_, counts_;
    std::vector<double> losses_;
};

double median(std::vector<double> x) {
    std::sort(x.begin(), x.end());
    return x[x.size() / 2];
}

template <typename Value>
std::vector<double> column(const std::vector<Round> &rounds, const Value &value) {
    std::vector<double> out;
    for (const Round &round : rounds) out.push_back(value(round));
    return out;
}

long peak_rss_kib() {
    long kib = 0;
    if (FILE *file = std::fopen("/proc/self/status", "r")) {
        char line[256];
        while (std::fgets(line, sizeof line, file))
            if (std::sscanf(line, "VmHWM: %ld", &kib) == 1) break;
        std::fclose(file);
    }
    return kib;
}

void print_json(const Options &o, const slm_runtime_info &info, const bench::RandomModel &weights, const slm_plan &plan,
                const std::vector<Round> &rounds) {
    std::printf(
        "{\"shape\":\"%s\",\"type\":\"%s\",\"layers\":%d,\"compute\":\"%s\",\"sequences\":%d,\"tokens\":%d,"
        "\"threads\":%d,\"isa\":%u,\"cpu\":\"%s\",\"file_bytes\":%llu,\"planned_bytes\":%llu,"
        "\"flops_per_token\":%.0f,\"peak_rss_kib\":%ld,\"rounds\":[",
        o.shape.c_str(), o.type.c_str(), weights.params().n_layer, o.compute.c_str(), o.sequences, o.tokens,
        info.n_threads, info.isa, info.cpu_name, static_cast<unsigned long long>(weights.file_bytes()),
        static_cast<unsigned long long>(plan.total_bytes), plan.flops_per_token, peak_rss_kib());
    for (size_t i = 0; i < rounds.size(); ++i) {
        const Round &r = rounds[i];
        std::printf(
            "%s{\"peak_f32\":%.2f,\"peak_bf16\":%.2f,\"peak_int8\":%.2f,\"line_round_trip\":%.0f,\"step_seconds\":%.6f,"
            "\"cpu_seconds\":%.6f,\"forward_seconds\":%.6f,\"minor_faults\":%ld,\"voluntary_switches\":%ld,\"phases\":"
            "{",
            i ? "," : "", r.peak_f32, r.peak_bf16, r.peak_int8, r.line_round_trip, r.step_seconds, r.cpu_seconds,
            r.forward_seconds, r.minor_faults, r.voluntary_switches);
        for (int p = 0; p < kPhaseCount; ++p)
            std::printf("%s\"%s\":{\"seconds\":%.6f,\"bytes\":%llu,\"calls\":%llu}", p ? "," : "", kPhases[p],
                        static_cast<double>(r.step.nanoseconds[p]) * 1e-9,
                        static_cast<unsigned long long>(r.step.bytes[p]),
                        static_cast<unsigned long long>(r.step.calls[p]));
        std::printf("}}");
    }
    std::printf("]}\n");
}

void print_text(const Options &o, const slm_runtime_info &info, const slm_plan &plan,
                const std::vector<Round> &rounds) {
    const double n_tokens = static_cast<double>(o.sequences) * o.tokens;
    const auto ratios = [&](double Round::*seconds) {
        return column(rounds, [&](const Round &r) { return n_tokens / r.*seconds / r.peak_f32; });
    };
    const double peak = median(column(rounds, [](const Round &r) { return r.peak_f32; }));
    const std::vector<double> step = ratios(&Round::step_seconds);
    std::printf("%s %s, %d x %d tokens, rank 16 on 7 linears, %s, %s, %d threads\n", o.shape.c_str(), o.type.c_str(),
                o.sequences, o.tokens, o.compute.c_str(), info.cpu_name, info.n_threads);
    std::printf("peak f32 GFLOP/s %.0f | step: %.0f tokens/s, %.3f per peak GFLOP/s (%.3f to %.3f)", peak,
                median(step) * peak, median(step), *std::min_element(step.begin(), step.end()),
                *std::max_element(step.begin(), step.end()));
    if (o.forward) {
        const double forward = median(ratios(&Round::forward_seconds));
        std::printf(" | forward: %.0f tokens/s, %.3f", forward * peak, forward);
    }
    std::printf(" | planned %.0f MiB, peak RSS %ld MiB | a step: %.0f page faults, %.0f sleeps\n",
                static_cast<double>(plan.total_bytes) / 1048576, peak_rss_kib() / 1024,
                median(column(rounds, [](const Round &r) { return static_cast<double>(r.minor_faults); })),
                median(column(rounds, [](const Round &r) { return static_cast<double>(r.voluntary_switches); })));
}

Round measure(Trainer &trainer, const Options &o, int n_threads) {
    Round round{};
    round.peak_f32 = bench::peak_rate(bench::peak_f32(), n_threads);
    round.peak_bf16 = bench::peak_rate(bench::peak_bf16(), n_threads);
    round.peak_int8 = bench::peak_rate(bench::peak_int8(), n_threads);
    round.line_round_trip = n_threads > 1 ? bench::line_round_trip() : 0;
    const slm_profile then = trainer.profile();
    const Usage before = Usage::now();
    auto start = Clock::now();
    trainer.step();
    round.step_seconds = seconds_since(start);
    const Usage after = Usage::now();
    round.cpu_seconds = after.cpu_seconds - before.cpu_seconds;
    round.minor_faults = after.minor_faults - before.minor_faults;
    round.voluntary_switches = after.voluntary_switches - before.voluntary_switches;
    round.step = trainer.profile();
    for (int p = 0; p < kPhaseCount; ++p) {
        round.step.nanoseconds[p] -= then.nanoseconds[p];
        round.step.calls[p] -= then.calls[p];
        round.step.bytes[p] -= then.bytes[p];
    }
    if (!o.forward) return round;
    start = Clock::now();
    trainer.forward();
    round.forward_seconds = seconds_since(start);
    return round;
}

void peaks_only(const Options &o) {
    const int threads = o.threads > 0 ? o.threads : slm::usable_cores();
    std::printf("{\"threads\":%d,\"rounds\":[", threads);
    for (int i = 0; i < o.rounds; ++i)
        std::printf("%s{\"peak_f32\":%.2f,\"peak_bf16\":%.2f,\"peak_int8\":%.2f}", i ? "," : "",
                    bench::peak_rate(bench::peak_f32(), threads), bench::peak_rate(bench::peak_bf16(), threads),
                    bench::peak_rate(bench::peak_int8(), threads));
    std::printf("]}\n");
}

std::string temporary_file() {
    const std::string name = "slimming-step-bench-" + std::to_string(getpid()) + ".gguf";
    return std::filesystem::temp_directory_path() / name;
}

}  // namespace

int main(int argc, char **argv) {
    const Options o = parse(argc, argv);
    if (o.peak) {
        peaks_only(o);
        return 0;
    }
    const std::string path = o.file.empty() ? temporary_file() : o.file;
    const bench::RandomModel weights(path, bench::shape_named(o.shape), o.type, o.layers);
    if (o.file.empty()) std::remove(path.c_str());  // the mapping keeps it
    if (o.write) return 0;
    slm_runtime_params runtime_params{sizeof runtime_params, o.threads, 0};
    slm_runtime *runtime = nullptr;
    check(slm_runtime_create(&runtime_params, &runtime, error, sizeof error));
    slm_runtime_info info{};
    info.size = sizeof info;
    check(slm_runtime_get_info(runtime, &info, error, sizeof error));
    {
        Trainer trainer(weights, o, runtime);
        for (int i = 0; i < o.warmup; ++i) measure(trainer, o, info.n_threads);
        std::vector<Round> rounds;
        for (int i = 0; i < o.rounds; ++i) rounds.push_back(measure(trainer, o, info.n_threads));
        if (o.json)
            print_json(o, info, weights, trainer.plan, rounds);
        else
            print_text(o, info, trainer.plan, rounds);
    }
    slm_runtime_free(runtime);
}
