// How many cores this process may use.
#pragma once

#include <string>

namespace slm {

// Its affinity mask, and the least CPU quota of the control groups (v1 or v2) that it is in, rounded up to whole cores.
// root: folder that holds proc and sys; tests give another one.
int usable_cores(const std::string &root = "");

}  // namespace slm
