#include "core/thread_pool.hpp"

#include "core/cores.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace slm {

namespace {

// Loops follow each other within microseconds during a step; a short spin saves the trip through the kernel. Threads
// without a core of their own would only take time from each other.
int spins_for(int n_threads) {
    return n_threads <= usable_cores() ? 1500 : 0;
}

void pause_core() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

template <typename T>
void wait_while(const std::atomic<T> &value, T old, int spins) {
    for (int spin = 0; spin < spins; ++spin) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause_core();
    }
    value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int n_threads) : n_threads_(n_threads), spins_(spins_for(n_threads)) {
    workers_.reserve(static_cast<size_t>(n_threads - 1));
    for (int thread = 1; thread < n_threads; ++thread) workers_.emplace_back([this, thread] { work(thread); });
}

ThreadPool::~ThreadPool() {
    stop_.store(true);
    generation_.fetch_add(1);
    generation_.notify_all();
    for (auto &worker : workers_) worker.join();
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
    pending_.store(n_threads_ - 1, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    if (n_threads_ > 1) generation_.notify_all();
    run_share(0);
    for (int left; (left = pending_.load(std::memory_order_acquire)) != 0;) wait_while(pending_, left, spins_);
    if (failed_.load()) {
        failed_.store(false);
        std::rethrow_exception(std::exchange(failure_, nullptr));
    }
}

void ThreadPool::work(int thread) {
    uint32_t seen = 0;
    for (;;) {
        wait_while(generation_, seen, spins_);
        seen = generation_.load(std::memory_order_acquire);
        if (stop_.load()) return;
        run_share(thread);
        if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_all();
    }
}

}  // namespace slm
