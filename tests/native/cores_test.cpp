// Cores by CPU quotas of control groups, from files as the kernel lays them out.
#include "core/cores.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

namespace fs = std::filesystem;

class Cores : public ::testing::Test {
 protected:
    Cores() {
        std::string path = ::testing::TempDir() + "slimming-cores-XXXXXX";
        if (mkdtemp(path.data()) == nullptr) std::abort();
        root = path;
    }
    ~Cores() override { fs::remove_all(root); }
    void write(const std::string &name, const std::string &text) const {
        const fs::path path = root + "/" + name;
        fs::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }

    std::string root;
    const int all = slm::usable_cores("/no/such/root");
};

TEST_F(Cores, WithoutGroupsAllOfTheMask) {
    EXPECT_GE(all, 1);
    EXPECT_EQ(slm::usable_cores(root), all);
}

TEST_F(Cores, QuotaOfAGroupAboveHolds) {
    write("proc/self/cgroup", "0::/user/job\n");
    write("sys/fs/cgroup/user/job/cpu.max", "max 100000\n");
    write("sys/fs/cgroup/user/cpu.max", "50000 100000\n");
    EXPECT_EQ(slm::usable_cores(root), 1);
}

TEST_F(Cores, QuotaIsRoundedUp) {
    write("proc/self/cgroup", "0::/job\n");
    write("sys/fs/cgroup/job/cpu.max", "110000 100000\n");
    EXPECT_EQ(slm::usable_cores(root), std::min(all, 2));
    write("sys/fs/cgroup/job/cpu.max", "99900000 100000\n");
    EXPECT_EQ(slm::usable_cores(root), all);
}

TEST_F(Cores, AContainerSeesItsGroupAtTheMount) {
    write("proc/self/cgroup", "0::/\n");
    write("sys/fs/cgroup/cpu.max", "20000 100000\n");
    EXPECT_EQ(slm::usable_cores(root), 1);
}

TEST_F(Cores, QuotaOfVersion1) {
    write("proc/self/cgroup", "7:cpuset:/\n4:cpu,cpuacct:/a/b\n3:cpuacct:/a\n");
    write("sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
    write("sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(slm::usable_cores(root), all);
    write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "30000\n");
    write("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(slm::usable_cores(root), 1);
}

TEST_F(Cores, LinesOfOtherFormsAreNoQuota) {
    write("proc/self/cgroup", "\nnonsense\n0::relative\n0:cpu\n");
    EXPECT_EQ(slm::usable_cores(root), all);
}

}  // namespace
