// A mapped file that becomes shorter: zeros and a status, not SIGBUS. In processes of their own, for the guard stays.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "tiny_model.hpp"

namespace {

using namespace slm_test;

constexpr size_t kPage = 4096;

// Three pages of a file that then loses the last two.
const volatile unsigned char *shrunk_file() {
    std::string path = ::testing::TempDir() + "slimming-guard-XXXXXX";
    const int file = mkstemp(path.data());
    unlink(path.c_str());
    const std::vector<char> bytes(3 * kPage, 7);
    if (write(file, bytes.data(), bytes.size()) != ssize_t(bytes.size())) std::exit(10);
    void *mapped = mmap(nullptr, bytes.size(), PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED || ftruncate(file, kPage) != 0) std::exit(11);
    return static_cast<const volatile unsigned char *>(mapped);
}

slm_status dequantize_something() {
    const float in = 1;
    float out = 0;
    char text[200];
    return slm_dequantize(0, &in, sizeof in, &out, 1, text, sizeof text);
}

[[noreturn]] void read_guarded() {
    slm_guard_mappings();
    slm_guard_mappings();
    const volatile unsigned char *bytes = shrunk_file();
    if (bytes[0] != 7 || slm_lost_pages() != 0 || dequantize_something() != SLM_STATUS_OK) std::exit(1);
    if (bytes[kPage] != 0 || bytes[2 * kPage + 5] != 0 || slm_lost_pages() != 2) std::exit(2);
    if (bytes[0] != 7) std::exit(3);
    if (dequantize_something() != SLM_STATUS_DATA_LOST) std::exit(4);
    std::exit(0);
}

TEST(MappingGuardDeathTest, AShrunkFileReadsAsZerosAndIsTold) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(read_guarded(), testing::ExitedWithCode(0), "");
}

// Sanitizers put a handler of their own there.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(MappingGuardDeathTest, OtherBusErrorsEndTheProcessAsBefore) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            slm_guard_mappings();
            raise(SIGBUS);
        },
        testing::KilledBySignal(SIGBUS), "");
}
#endif

}  // namespace
