#include "core/thread_pool.hpp"

#include "core/cores.hpp"
#include "core/error.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace slm {

namespace {

using Clock = std::chrono::steady_clock;

// Loops follow each other within microseconds during a step, and the slower half of one is rarely further behind than
// this: to spin so long saves the trip through the kernel. Threads without a core of their own would only take time
// from each other.
Clock::duration patience_for(int n_threads) {
    return n_threads <= usable_cores() ? std::chrono::microseconds(150) : Clock::duration::zero();
}

void pause_core() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

uint64_t pack(int64_t begin, int64_t end) {
    return static_cast<uint64_t>(end) << 32 | static_cast<uint64_t>(begin);
}

template <typename T>
void wait_while(const std::atomic<T> &value, T old, Clock::duration patience) {
    constexpr int between_readings = 32;
    Clock::time_point end;
    for (int spin = 0; patience > Clock::duration::zero(); ++spin) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause_core();
        if (spin % between_readings != 0) continue;
        const Clock::time_point now = Clock::now();
        if (spin == 0) end = now + patience;
        if (now >= end) break;
    }
    value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int n_threads, Caller caller)
    : n_threads_(n_threads),
      caller_(caller),
      patience_(caller == Caller::Waits ? Clock::duration::zero() : patience_for(n_threads)),
      shares_(static_cast<size_t>(n_threads)) {
    const int first = caller == Caller::Waits ? 0 : 1;
    workers_.reserve(static_cast<size_t>(n_threads - first));
    for (int thread = first; thread < n_threads; ++thread) workers_.emplace_back([this, thread] { work(thread); });
}

ThreadPool::~ThreadPool() {
    stop_.store(true);
    generation_.fetch_add(1);
    generation_.notify_all();
    for (auto &worker : workers_) worker.join();
}

void ThreadPool::deal(int64_t n) {
    if (n >> 32 != 0) fail(SLM_STATUS_INTERNAL, "a loop of %lld items is too long", static_cast<long long>(n));
    for (int64_t thread = 0; thread < n_threads_; ++thread) {
        const uint64_t share = pack(n * thread / n_threads_, n * (thread + 1) / n_threads_);
        shares_[static_cast<size_t>(thread)].left.store(share, std::memory_order_relaxed);
    }
}

// Shares only shrink while a loop runs, so a compared value is never an old one come back.
ThreadPool::Range ThreadPool::Items::take(int64_t group, int64_t most) {
    for (int i = 0; i < pool_.n_threads_; ++i) {
        auto &share = pool_.shares_[static_cast<size_t>((thread_ + i) % pool_.n_threads_)].left;
        uint64_t left = share.load(std::memory_order_relaxed);
        for (;;) {
            const int64_t begin = left & UINT32_MAX, end = static_cast<int64_t>(left >> 32);
            if (begin == end) break;
            const bool own = i == 0;
            const Range range = own ? Range{begin, std::min({end, begin + most, (begin / group + 1) * group})}
                                    : Range{std::max({begin, end - most, (end - 1) / group * group}), end};
            const uint64_t rest = own ? pack(range.end, end) : pack(begin, range.begin);
            if (share.compare_exchange_weak(left, rest, std::memory_order_relaxed)) return range;
        }
    }
    return {0, 0};
}

void ThreadPool::run_share(int thread) {
    try {
        call_(context_, thread);
    } catch (...) {
        if (!failed_.exchange(true)) failure_ = std::current_exception();
    }
}

void ThreadPool::start(void (*call)(const void *, int), const void *context) {
    call_ = call;
    context_ = context;
    pending_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    if (!workers_.empty()) generation_.notify_all();
    if (caller_ == Caller::Works) run_share(0);
    for (int left; (left = pending_.load(std::memory_order_acquire)) != 0;) wait_while(pending_, left, patience_);
    if (failed_.load()) {
        failed_.store(false);
        std::rethrow_exception(std::exchange(failure_, nullptr));
    }
}

void ThreadPool::work(int thread) {
    uint32_t seen = 0;
    for (;;) {
        wait_while(generation_, seen, patience_);
        seen = generation_.load(std::memory_order_acquire);
        if (stop_.load()) return;
        run_share(thread);
        if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_all();
    }
}

}  // namespace slm
