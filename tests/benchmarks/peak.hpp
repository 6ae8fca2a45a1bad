// This machine's peak rates: multiply-adds that never leave the registers, on every thread at once. They are the line
// that all speeds are given against.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bench {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// A loop of independent chains, and the operations of one turn of it. The sum keeps the compiler from dropping it.
struct PeakLoop {
    double (*run)(int64_t turns) = nullptr;
    double operations = 0;
};

inline constexpr int kChains = 16;

#if defined(__x86_64__)

__attribute__((target("avx512f"))) inline double peak_f32_512(int64_t turns) {
    __m512 x[kChains];
    for (int i = 0; i < kChains; ++i) x[i] = _mm512_set1_ps(1.0f + 0.001f * static_cast<float>(i));
    const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
    for (int64_t t = 0; t < turns; ++t)
        for (int i = 0; i < kChains; ++i) x[i] = _mm512_fmadd_ps(x[i], a, b);
    double sum = 0;
    for (int i = 0; i < kChains; ++i) sum += static_cast<double>(_mm512_cvtss_f32(x[i]));
    return sum;
}

// Twelve chains leave room for the operands among sixteen registers.
__attribute__((target("avx2,fma"))) inline double peak_f32_256(int64_t turns) {
    __m256 x[12];
    for (int i = 0; i < 12; ++i) x[i] = _mm256_set1_ps(1.0f + 0.001f * static_cast<float>(i));
    const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
    for (int64_t t = 0; t < turns; ++t)
        for (int i = 0; i < 12; ++i) x[i] = _mm256_fmadd_ps(x[i], a, b);
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(_mm256_cvtss_f32(x[i]));
    return sum;
}

__attribute__((target("avx512f,avx512bf16"))) inline double peak_bf16_512(int64_t turns) {
    __m512 x[kChains];
    for (int i = 0; i < kChains; ++i) x[i] = _mm512_set1_ps(0.001f * static_cast<float>(i));
    const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.001f), _mm512_set1_ps(0.002f)),
                   b = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.003f), _mm512_set1_ps(-0.001f));
    for (int64_t t = 0; t < turns; ++t)
        for (int i = 0; i < kChains; ++i) x[i] = _mm512_dpbf16_ps(x[i], a, b);
    double sum = 0;
    for (int i = 0; i < kChains; ++i) sum += static_cast<double>(_mm512_cvtss_f32(x[i]));
    return sum;
}

__attribute__((target("avx512f,avx512vnni"))) inline double peak_int8_512(int64_t turns) {
    __m512i x[kChains];
    for (int i = 0; i < kChains; ++i) x[i] = _mm512_set1_epi32(i);
    const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-1);
    for (int64_t t = 0; t < turns; ++t)
        for (int i = 0; i < kChains; ++i) x[i] = _mm512_dpbusd_epi32(x[i], a, b);
    int32_t lanes[16];
    double sum = 0;
    for (int i = 0; i < kChains; ++i) {
        _mm512_storeu_si512(lanes, x[i]);
        sum += lanes[0];
    }
    return sum;
}

inline PeakLoop peak_f32() {
    if (__builtin_cpu_supports("avx512f")) return {peak_f32_512, kChains * 16 * 2};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {peak_f32_256, 12 * 8 * 2};
    return {};
}
inline PeakLoop peak_bf16() {
    if (__builtin_cpu_supports("avx512bf16")) return {peak_bf16_512, kChains * 32 * 2};
    return {};
}
inline PeakLoop peak_int8() {
    if (__builtin_cpu_supports("avx512vnni")) return {peak_int8_512, kChains * 64 * 2};
    return {};
}

#else

inline PeakLoop peak_f32() {
    return {};
}
inline PeakLoop peak_bf16() {
    return {};
}
inline PeakLoop peak_int8() {
    return {};
}

#endif

// 10^9 operations a second of all threads together; 0: this machine has no such instruction.
inline double peak_rate(const PeakLoop &loop, int n_threads) {
    if (loop.run == nullptr) return 0;
    const int64_t turns = 20'000'000;
    std::atomic<double> sink{0};
    const auto start = Clock::now();
    std::vector<std::thread> threads;
    for (int i = 0; i < n_threads; ++i) threads.emplace_back([&] { sink = sink + loop.run(turns); });
    for (auto &thread : threads) thread.join();
    return loop.operations * static_cast<double>(turns) * n_threads / seconds_since(start) / 1e9;
}

// Nanoseconds for a cache line to go to another core and back: what two threads pay for each handover. The best of
// ten milliseconds, so that what interrupts them does not count; 0: this process may use one core only.
inline double line_round_trip() {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return 0;
    int core = -1;
    const auto pinned = [&](auto body) {
        while (!CPU_ISSET(++core, &allowed)) continue;
        std::thread thread(body);
        cpu_set_t own;
        CPU_ZERO(&own);
        CPU_SET(core, &own);
        pthread_setaffinity_np(thread.native_handle(), sizeof own, &own);
        return thread;
    };
    alignas(128) std::atomic<int64_t> there{0};
    alignas(128) std::atomic<int64_t> back{0};
    double best = 1;
    std::thread other = pinned([&] {
        for (int64_t seen = 0; seen >= 0;) {
            const int64_t now = there.load(std::memory_order_acquire);
            if (now == seen) continue;
            seen = now;
            back.store(seen, std::memory_order_release);
        }
    });
    std::thread own = pinned([&] {
        constexpr int64_t at_once = 256;
        int64_t trip = 0;
        for (const auto begin = Clock::now(); seconds_since(begin) < 0.01;) {
            const auto start = Clock::now();
            for (int64_t i = 0; i < at_once; ++i) {
                there.store(++trip, std::memory_order_release);
                while (back.load(std::memory_order_acquire) != trip) continue;
            }
            best = std::min(best, seconds_since(start) / at_once);
        }
        there.store(-1, std::memory_order_release);
    });
    own.join();
    other.join();
    return best * 1e9;
}

}  // namespace bench
