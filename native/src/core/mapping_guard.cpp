#include "core/mapping_guard.hpp"

#include <atomic>
#include <mutex>

#if defined(__unix__)
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace slm {

namespace {

std::atomic<uint64_t> lost{0};

#if defined(__unix__)

struct sigaction previous = {};
uintptr_t page_bytes = 4096;

// BUS_ADRERR is a page that no file stands behind any more, or one that the disk did not deliver. Zeros in its place
// let the reading thread go on to the end of its call, where the count is looked at.
bool replaced_by_zeros(const siginfo_t *info) {
    if (info->si_code != BUS_ADRERR) return false;
    const uintptr_t page = reinterpret_cast<uintptr_t>(info->si_addr) & ~(page_bytes - 1);
    return mmap(reinterpret_cast<void *>(page), page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                0) != MAP_FAILED;
}

void on_bus_error(int number, siginfo_t *info, void *context) {
    const int saved = errno;
    if (replaced_by_zeros(info)) {
        lost.fetch_add(1, std::memory_order_relaxed);
    } else if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    } else {
        // Blocked until this handler returns; then it ends the process as it would have.
        sigaction(SIGBUS, &previous, nullptr);
        raise(number);
    }
    errno = saved;
}

void install() {
    page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    // What was there is known before the new handler can run.
    sigaction(SIGBUS, nullptr, &previous);
    sigaction(SIGBUS, &action, nullptr);
}

#else

void install() {}

#endif

}  // namespace

void guard_mappings() {
    static std::once_flag once;
    std::call_once(once, install);
}

uint64_t lost_pages() {
    return lost.load(std::memory_order_relaxed);
}

}  // namespace slm
