// A fixed set of threads that run one loop at a time. Which thread runs an item never changes its result.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

namespace slm {

class ThreadPool {
 public:
    // n_threads include the one that calls, which works too, unless it only waits: then it sleeps, and all work is
    // done by threads of the pool.
    enum class Caller { Works, Waits };
    explicit ThreadPool(int n_threads, Caller caller = Caller::Works);
    ~ThreadPool();
    ThreadPool(const ThreadPool &) = delete;
    ThreadPool &operator=(const ThreadPool &) = delete;

    int size() const { return n_threads_; }

    struct Range {
        int64_t begin, end;
        bool empty() const { return begin == end; }
    };

    // The items of a loop that are left for a thread, at first a contiguous share of its own. It takes them in order;
    // when they are done it takes from the ends of the others' shares, so that no core waits long for a slower one.
    class Items {
     public:
        Items(ThreadPool &pool, int thread) : pool_(pool), thread_(thread) {}
        // At most `most` neighbours out of one group of `group` items; empty: none is left.
        Range take(int64_t group, int64_t most);

     private:
        ThreadPool &pool_;
        int thread_;
    };

    // Calls body(items, thread) once on every thread that is to work, with n items in all, n < 2^32.
    template <typename Body>
    void share(int64_t n, const Body &body) {
        deal(n);
        const auto work = [&](int thread) {
            Items items(*this, thread);
            body(items, thread);
        };
        // One item is done sooner than another thread hears of it.
        if (n <= 1 && caller_ == Caller::Works)
            work(0);
        else
            run(work);
    }

    // Calls body(item, thread) for every item of [0, n).
    template <typename Body>
    void each(int64_t n, const Body &body) {
        share(n, [&](Items &items, int thread) {
            for (Range range; !(range = items.take(1, 1)).empty();) body(range.begin, thread);
        });
    }

    // Calls body(begin, end, thread) on pieces that make up [0, n).
    template <typename Body>
    void split(int64_t n, const Body &body) {
        const int64_t pieces = std::min<int64_t>(n, n_threads_ == 1 ? 1 : kPieces * n_threads_);
        each(pieces, [&](int64_t piece, int thread) { body(n * piece / pieces, n * (piece + 1) / pieces, thread); });
    }

 private:
    template <typename Body>
    void run(const Body &body) {
        start([](const void *context, int thread) { (*static_cast<const Body *>(context))(thread); }, &body);
    }
    void deal(int64_t n);
    void start(void (*call)(const void *, int), const void *context);
    void work(int thread);
    void run_share(int thread);

    static constexpr int64_t kPieces = 8;  // a thread's share is cut into

    // What is left of a thread's share: the first item in the low half, the end in the high half.
    struct alignas(64) Share {
        std::atomic<uint64_t> left{0};
    };

    int n_threads_;
    Caller caller_;
    std::chrono::steady_clock::duration patience_;
    std::vector<Share> shares_;
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
