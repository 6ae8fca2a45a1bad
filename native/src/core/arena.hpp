// Work space of a context: one block, sized before the first step, cut by a moving offset. Ops never allocate.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "core/error.hpp"

namespace slm {

inline constexpr size_t kAlignment = 64;
inline constexpr size_t kHugePage = size_t{2} << 20;

inline size_t align_up(size_t n) {
    return (n + kAlignment - 1) / kAlignment * kAlignment;
}

// A hint: without huge pages the memory is as good, with more page faults and misses of the TLB.
inline void ask_for_huge_pages([[maybe_unused]] void *data, [[maybe_unused]] size_t bytes) {
#if defined(MADV_HUGEPAGE)
    madvise(data, bytes, MADV_HUGEPAGE);
#endif
}

// Aligned memory that is not touched before use, so only what a run really writes becomes resident.
class Buffer {
 public:
    Buffer() = default;
    explicit Buffer(size_t bytes) : bytes_(align_up(bytes)) {
        if (bytes_ == 0) return;
        const bool huge = bytes_ >= kHugePage;
        if (posix_memalign(&data_, huge ? kHugePage : kAlignment, bytes_) != 0)
            fail(SLM_STATUS_OUT_OF_MEMORY,
                 "cannot reserve %zu bytes; use a smaller --micro-batch-tokens or --max-length", bytes_);
        if (huge) ask_for_huge_pages(data_, bytes_);
    }
    Buffer(Buffer &&other) noexcept { swap(other); }
    Buffer &operator=(Buffer &&other) noexcept {
        swap(other);
        return *this;
    }
    ~Buffer() { std::free(data_); }
    void *data() const { return data_; }
    float *floats() const { return static_cast<float *>(data_); }
    size_t bytes() const { return bytes_; }

 private:
    void swap(Buffer &other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
    }
    void *data_ = nullptr;
    size_t bytes_ = 0;
};

// Hands out slices of a block. Without a block it only measures: the same code plans and runs.
class Arena {
 public:
    Arena() = default;
    Arena(void *block, size_t bytes) : block_(static_cast<char *>(block)), bytes_(bytes) {}

    template <typename T>
    T *take(int64_t count) {
        if (count < 0 || static_cast<size_t>(count) > (SIZE_MAX / 4 - offset_) / sizeof(T))
            fail(SLM_STATUS_OUT_OF_MEMORY, "work space of %lld values cannot be counted",
                 static_cast<long long>(count));
        const size_t start = offset_;
        offset_ += align_up(static_cast<size_t>(count) * sizeof(T));
        if (block_ == nullptr) return nullptr;
        if (offset_ > bytes_)
            fail(SLM_STATUS_INTERNAL, "work space of %zu bytes is too small: %zu asked", bytes_, offset_);
        return reinterpret_cast<T *>(block_ + start);
    }
    size_t used() const { return offset_; }
    // What is taken next lies at this offset, over what was taken from there on.
    void back_to(size_t offset) { offset_ = offset; }

 private:
    char *block_ = nullptr;
    size_t bytes_ = 0;
    size_t offset_ = 0;
};

}  // namespace slm
