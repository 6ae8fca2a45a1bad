#include "core/thread_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

TEST(ThreadPool, EveryItemIsRunOnce) {
    for (const int threads : {1, 2, 3, 8}) {
        slm::ThreadPool pool(threads);
        for (const int64_t n : {0, 1, 2, 7, 100, 5000}) {
            std::vector<std::atomic<int>> each(static_cast<size_t>(n)), split(static_cast<size_t>(n));
            pool.each(n, [&](int64_t item, int) { ++each[static_cast<size_t>(item)]; });
            pool.split(n, [&](int64_t begin, int64_t end, int) {
                for (int64_t i = begin; i < end; ++i) ++split[static_cast<size_t>(i)];
            });
            for (size_t i = 0; i < each.size(); ++i) ASSERT_TRUE(each[i] == 1 && split[i] == 1) << i << " of " << n;
        }
    }
}

TEST(ThreadPool, ItemsTakenTogetherAreOfOneGroup) {
    slm::ThreadPool pool(3);
    constexpr int64_t n = 230, group = 23, most = 7;
    std::vector<std::atomic<int>> runs(n);
    pool.share(n, [&](slm::ThreadPool::Items &items, int) {
        for (slm::ThreadPool::Range range; !(range = items.take(group, most)).empty();) {
            EXPECT_LE(range.end - range.begin, most);
            EXPECT_EQ(range.begin / group, (range.end - 1) / group);
            for (int64_t i = range.begin; i < range.end; ++i) ++runs[static_cast<size_t>(i)];
        }
    });
    for (size_t i = 0; i < runs.size(); ++i) ASSERT_EQ(runs[i], 1) << i;
}

TEST(ThreadPool, AFreeThreadTakesFromOneThatIsHeldUp) {
    slm::ThreadPool pool(2);
    std::atomic<int> left{99};
    // The first item of thread 0's share ends only when all others are done, half of which were dealt to it.
    pool.each(100, [&](int64_t item, int) {
        if (item != 0) {
            --left;
            return;
        }
        while (left != 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
    });
    EXPECT_EQ(left, 0);
}

TEST(ThreadPool, AnExceptionComesToTheCallerAndTheNextLoopRuns) {
    slm::ThreadPool pool(4);
    EXPECT_THROW(pool.each(50,
                           [](int64_t item, int) {
                               if (item == 37) throw std::runtime_error("item");
                           }),
                 std::runtime_error);
    std::atomic<int> done{0};
    pool.each(50, [&](int64_t, int) { ++done; });
    EXPECT_EQ(done, 50);
}

TEST(ThreadPool, ACallerThatWaitsRunsNoItem) {
    const std::thread::id caller = std::this_thread::get_id();
    for (const int threads : {1, 3}) {
        slm::ThreadPool works(threads), waits(threads, slm::ThreadPool::Caller::Waits);
        std::atomic<int> here{0}, done{0};
        const auto item = [&](int64_t, int thread) {
            EXPECT_TRUE(thread >= 0 && thread < threads);
            if (std::this_thread::get_id() == caller) ++here;
            ++done;
        };
        for (int i = 0; i < 50; ++i) waits.each(10, item);
        EXPECT_EQ(here, 0);
        EXPECT_EQ(done, 500);
        EXPECT_THROW(waits.each(1, [](int64_t, int) { throw std::runtime_error("item"); }), std::runtime_error);
        waits.each(1, item);
        EXPECT_EQ(done, 501);
        works.split(threads, [&](int64_t begin, int64_t, int thread) { item(begin, thread); });
        if (threads == 1) {
            EXPECT_EQ(here, 1);
        }
    }
}

}  // namespace
