// Runs one fuzz target without libFuzzer: every file of its corpus, then cases made from them by number, the same ones
// every time, until the seconds are over. Non-goals: looking for new ground, which libFuzzer does (preset `fuzz`).
#include <sanitizer/common_interface_defs.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The targets end a wrong answer with abort.
extern "C" const char *__asan_default_options() {
    return "handle_abort=1";
}

namespace {

using Bytes = std::vector<uint8_t>;

constexpr double kSecondsPerCase = 5;  // of processor time
constexpr size_t kLargest = 4400;

Bytes current;
std::string label = "no case yet";

// The last thing before a sanitizer or abort ends the process: what to repeat.
void keep_case() {
    std::ofstream("failed-case.bin", std::ios::binary)
        .write(reinterpret_cast<const char *>(current.data()), static_cast<std::streamsize>(current.size()));
    std::fprintf(stderr, "failed: %s, kept as failed-case.bin\n", label.c_str());
}

double seconds(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

bool run(std::string name, Bytes input) {
    label = std::move(name);
    current = std::move(input);
    const double begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
    LLVMFuzzerTestOneInput(current.data(), current.size());
    const double spent = seconds(CLOCK_PROCESS_CPUTIME_ID) - begin;
    if (spent <= kSecondsPerCase) return true;
    keep_case();
    std::fprintf(stderr, "it took %.1f s of processor time, at most %.0f are expected\n", spent, kSecondsPerCase);
    return false;
}

// splitmix64: the state is a counter, so a case needs its number alone.
struct Random {
    uint64_t state;
    uint64_t next() {
        uint64_t z = (state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    size_t below(size_t n) { return n == 0 ? 0 : static_cast<size_t>(next() % n); }
};

void change(Random &random, Bytes &bytes, const Bytes &other) {
    static constexpr uint8_t edges[] = {0, 1, 15, 16, 127, 128, 254, 255};
    const size_t at = random.below(bytes.size() + 1);
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const size_t n = std::min(1 + random.below(8), bytes.size() - at);
    switch (random.below(6)) {
        case 0:  // other bits
            for (size_t i = 0; i < n; ++i) bytes[at + i] ^= static_cast<uint8_t>(1u << random.below(8));
            break;
        case 1:
            for (size_t i = 0; i < n; ++i) bytes[at + i] = edges[random.below(std::size(edges))];
            break;
        case 2:
            for (size_t i = 0; i < n; ++i) bytes[at + i] = static_cast<uint8_t>(random.next());
            break;
        case 3:
            bytes.erase(here, here + static_cast<std::ptrdiff_t>(n));
            break;
        case 4:
            bytes.insert(here, 1 + random.below(8), static_cast<uint8_t>(random.next()));
            break;
        default: {  // the end of another file
            const size_t from = random.below(other.size() + 1);
            bytes.erase(here, bytes.end());
            bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
        }
    }
    if (bytes.size() > kLargest) bytes.resize(kLargest);
}

Bytes make_case(const std::vector<Bytes> &corpus, uint64_t number) {
    Random random{number * 0x632be59bd9b4e019u};
    Bytes bytes = corpus[random.below(corpus.size())];
    for (size_t i = 1 + random.below(6); i > 0; --i) change(random, bytes, corpus[random.below(corpus.size())]);
    return bytes;
}

std::vector<Bytes> read_corpus(const char *folder) {
    std::vector<std::filesystem::path> paths;
    for (const auto &entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    std::vector<Bytes> corpus;
    for (const auto &path : paths) {
        std::ifstream file(path, std::ios::binary);
        corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return corpus;
}

}  // namespace

// CORPUS SECONDS [FIRST]: FIRST is the number of the first case. CORPUS FILE: that one input.
int main(int argc, char **argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s CORPUS SECONDS [FIRST] | CORPUS FILE\n", argv[0]);
        return 2;
    }
    __sanitizer_set_death_callback(keep_case);
    if (std::filesystem::exists(argv[2])) {
        std::ifstream file(argv[2], std::ios::binary);
        return run(argv[2], Bytes(std::istreambuf_iterator<char>(file), {})) ? 0 : 1;
    }
    const std::vector<Bytes> corpus = read_corpus(argv[1]);
    if (corpus.empty()) {
        std::fprintf(stderr, "%s holds no file\n", argv[1]);
        return 1;
    }
    for (size_t i = 0; i < corpus.size(); ++i)
        if (!run("file " + std::to_string(i) + " of the corpus", corpus[i])) return 1;
    const uint64_t first = argc > 3 ? std::stoull(argv[3]) : 0;
    const double end = seconds(CLOCK_MONOTONIC) + std::stod(argv[2]);
    uint64_t number = first;
    for (; seconds(CLOCK_MONOTONIC) < end; ++number)
        if (!run("case " + std::to_string(number), make_case(corpus, number))) return 1;
    std::printf("%zu files of the corpus and %llu cases\n", corpus.size(),
                static_cast<unsigned long long>(number - first));
    return 0;
}
