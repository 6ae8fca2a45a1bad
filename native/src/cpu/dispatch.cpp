// Which kernels this machine may run, and which of them the environment asks for.
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.hpp"
#include "cpu/levels.hpp"

namespace slm {

namespace {

bool offered(const Level &level) {
    return (cpu_features() & level.features) == level.features;
}

const Level *find_level(slm_isa isa) {
    for (const Level &level : cpu_levels())
        if (level.isa == isa) return &level;
    return nullptr;
}

}  // namespace

uint32_t cpu_features() {
    static const uint32_t features = read_cpu_features();
    return features;
}

bool cpu_offers(slm_isa isa) {
    const Level *level = find_level(isa);
    return level != nullptr && offered(*level);
}

const Kernels &kernels_of(slm_isa isa) {
    const Level *level = find_level(isa);
    if (level == nullptr) fail(SLM_STATUS_UNSUPPORTED, "this processor family has no kernels of level %d", int(isa));
    return level->kernels();
}

const Kernels &select_kernels() {
    const char *wanted = std::getenv("SLM_ISA");
    const bool named = wanted != nullptr && *wanted != '\0';
    const Level *best = nullptr;
    std::string names;
    for (const Level &level : cpu_levels()) {
        names += names.empty() ? level.name : std::string(", ") + level.name;
        if (named && std::strcmp(wanted, level.name) == 0) {
            if (offered(level)) return level.kernels();
            fail(SLM_STATUS_UNSUPPORTED, "SLM_ISA asks for '%s', which this machine does not offer; leave it unset",
                 wanted);
        }
        if (offered(level)) best = &level;
    }
    if (named) fail(SLM_STATUS_INVALID_ARGUMENT, "SLM_ISA is '%s', expected one of %s", wanted, names.c_str());
    return best->kernels();
}

}  // namespace slm
