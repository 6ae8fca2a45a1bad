// Checks a user's machine can run in a second: every kernel in use against plain arithmetic in double.
#pragma once

#include "model/model.hpp"
#include "slimming.h"

namespace slm {

int32_t self_check_count();
void run_self_check(Runtime &runtime, int32_t index, slm_self_check &out);

}  // namespace slm
