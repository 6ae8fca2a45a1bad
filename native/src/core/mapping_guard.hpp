// Keeps a process alive when a mapped file loses pages under it.
#pragma once

#include <cstdint>

namespace slm {

// Installs the handler once; see slm_guard_mappings.
void guard_mappings();

// Pages replaced by zeros since.
uint64_t lost_pages();

}  // namespace slm
