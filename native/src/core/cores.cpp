#include "core/cores.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <thread>

namespace slm {

namespace {

// -1: absent or no number, as "max" is
double number_in(const std::string &path) {
    std::ifstream file(path);
    double value = -1;
    return file >> value ? value : -1;
}

// Cores by the quota of one folder; 0: it sets none.
double quota_v2(const std::string &folder) {
    std::ifstream file(folder + "/cpu.max");
    double quota = 0, period = 0;
    return file >> quota >> period && quota > 0 && period > 0 ? quota / period : 0;
}

double quota_v1(const std::string &folder) {
    const double quota = number_in(folder + "/cpu.cfs_quota_us"), period = number_in(folder + "/cpu.cfs_period_us");
    return quota > 0 && period > 0 ? quota / period : 0;
}

bool names_cpu(const std::string &controllers) {
    return ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

// The least quota of a group and of those above it, up to the mount, which in a container is the group's own folder.
double least_quota(const std::string &mount, std::string group, double (*quota)(const std::string &)) {
    double least = 0;
    while (true) {
        const double found = quota(mount + group);
        if (found > 0 && (least == 0 || found < least)) least = found;
        if (group.empty()) return least;
        group.erase(group.find_last_of('/'));
    }
}

}  // namespace

int usable_cores(const std::string &root) {
    cpu_set_t set;
    int cores = static_cast<int>(std::thread::hardware_concurrency());
    if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
    // hierarchy:controllers:path; version 2 names no controllers.
    std::ifstream groups(root + "/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        std::string group = line.substr(second + 1);
        while (!group.empty() && group.back() == '/') group.pop_back();
        if (!group.empty() && group.front() != '/') continue;
        const std::string mount = root + "/sys/fs/cgroup";
        double quota = 0;
        if (controllers.empty())
            quota = least_quota(mount, group, quota_v2);
        else if (names_cpu(controllers))
            quota = least_quota(mount + "/cpu", group, quota_v1);
        if (quota > 0) cores = std::min(cores, static_cast<int>(std::ceil(std::min(quota, 1e6))));
    }
    return std::max(cores, 1);
}

}  // namespace slm
