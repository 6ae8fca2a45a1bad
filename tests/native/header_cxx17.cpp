// slimming.h alone, as C++17 (the build sets this file's standard).
#include "slimming.h"

static_assert(__cplusplus == 201703L, "this file is compiled as C++17");
static_assert(sizeof(slm_status) == 4, "enums cross the boundary as 32 bits");
