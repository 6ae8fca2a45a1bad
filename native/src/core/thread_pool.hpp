// A fixed set of threads that run one loop at a time. Which thread runs an item never changes its result.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

namespace slm {

class ThreadPool {
 public:
    explicit ThreadPool(int n_threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool &) = delete;
    ThreadPool &operator=(const ThreadPool &) = delete;

    int size() const { return n_threads_; }

    // Calls body(begin, end, thread) on contiguous shares of [0, n).
    template <typename Body>
    void split(int64_t n, const Body &body) {
        const int64_t threads = n_threads_;
        run([&](int thread) {
            const int64_t begin = n * thread / threads, end = n * (thread + 1) / threads;
            if (begin < end) body(begin, end, thread);
        });
    }

    // Calls body(item, thread) for every item; threads take the next item when they are free.
    template <typename Body>
    void each(int64_t n, const Body &body) {
        std::atomic<int64_t> next{0};
        run([&](int thread) {
            for (int64_t item; (item = next.fetch_add(1, std::memory_order_relaxed)) < n;) body(item, thread);
        });
    }

 private:
    template <typename Body>
    void run(const Body &body) {
        start([](const void *context, int thread) { (*static_cast<const Body *>(context))(thread); }, &body);
    }
    void start(void (*call)(const void *, int), const void *context);
    void work(int thread);
    void run_share(int thread);

    int n_threads_;
    int spins_;
    std::vector<std::thread> workers_;
    std::atomic<uint32_t> generation_{0};
    std::atomic<int> pending_{0};
    std::atomic<bool> stop_{false};
    std::atomic<bool> failed_{false};
    std::exception_ptr failure_;
    void (*call_)(const void *, int) = nullptr;
    const void *context_ = nullptr;
};

}  // namespace slm
