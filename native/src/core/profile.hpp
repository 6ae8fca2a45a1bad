// Where the time of a context goes. A scope charges the time until it ends to its phase, less what scopes inside it
// take; without a profile it costs one comparison.
#pragma once

#include <chrono>
#include <cstdint>

#include "slimming.h"

namespace slm {

// Phases counted, of the 8 that slm_profile has room for.
inline constexpr int kPhases = SLM_PHASE_OPTIMIZER + 1;

class Profile {
 public:
    static uint64_t now() {
        return static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
                .count());
    }

    // Switches to `phase` and returns the phase left.
    int enter(int phase, uint64_t bytes) {
        const uint64_t time = now();
        if (current_ >= 0) {
            nanoseconds_[current_] += time - since_;
            bytes_[current_] += bytes - bytes_then_;
        }
        since_ = time;
        bytes_then_ = bytes;
        const int left = current_;
        current_ = phase;
        return left;
    }
    void count_call(int phase) { ++calls_[phase]; }
    uint64_t since() const { return since_; }
    uint64_t nanoseconds(int phase) const { return nanoseconds_[phase]; }
    uint64_t bytes(int phase) const { return bytes_[phase]; }
    uint64_t calls(int phase) const { return calls_[phase]; }

    // Where events go; the caller's memory.
    void trace(slm_trace_event *events, uint64_t capacity) {
        events_ = events;
        capacity_ = capacity;
        n_events_ = 0;
    }
    void add_event(int phase, int layer, uint64_t begin, uint64_t end) {
        if (n_events_ < capacity_) events_[n_events_] = {static_cast<uint32_t>(phase), layer, begin, end};
        if (capacity_ > 0) ++n_events_;
    }
    uint64_t n_events() const { return n_events_; }

 private:
    uint64_t nanoseconds_[kPhases] = {}, calls_[kPhases] = {}, bytes_[kPhases] = {};
    uint64_t since_ = 0, bytes_then_ = 0;
    int current_ = -1;
    slm_trace_event *events_ = nullptr;
    uint64_t capacity_ = 0, n_events_ = 0;
};

class PhaseScope {
 public:
    // total: bytes moved so far, which others go on counting
    PhaseScope(Profile *profile, const uint64_t &total, slm_phase phase, int layer = -1)
        : profile_(profile), total_(total), phase_(phase), layer_(layer) {
        if (profile_ == nullptr) return;
        left_ = profile_->enter(phase_, total_);
        begin_ = profile_->since();
        profile_->count_call(phase_);
    }
    ~PhaseScope() {
        if (profile_ == nullptr) return;
        profile_->enter(left_, total_);
        profile_->add_event(phase_, layer_, begin_, profile_->since());
    }
    PhaseScope(const PhaseScope &) = delete;
    PhaseScope &operator=(const PhaseScope &) = delete;

 private:
    Profile *profile_;
    const uint64_t &total_;
    int phase_, layer_, left_ = -1;
    uint64_t begin_ = 0;
};

}  // namespace slm
