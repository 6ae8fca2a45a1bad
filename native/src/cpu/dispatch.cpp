// Which kernels this machine may run, and which of them the environment asks for.
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.hpp"
#include "cpu/levels.hpp"

namespace slm {

namespace {

bool offered(const Level &level, uint32_t features) {
    return (features & level.features) == level.features;
}

bool proven(const Level &level) {
    return level.proven == nullptr || level.proven();
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
    return level != nullptr && offered(*level, cpu_features());
}

const Kernels &kernels_of(slm_isa isa) {
    const Level *level = find_level(isa);
    if (level == nullptr) fail(SLM_STATUS_UNSUPPORTED, "this processor family has no kernels of level %d", int(isa));
    return level->kernels();
}

uint32_t built_levels() {
    uint32_t levels = 0;
    for (const Level &level : cpu_levels()) levels |= 1u << level.isa;
    return levels;
}

uint32_t offered_levels() {
    uint32_t levels = 0;
    for (const Level &level : cpu_levels())
        if (offered(level, cpu_features()) && proven(level)) levels |= 1u << level.isa;
    return levels;
}

const Level &choose_level(std::span<const Level> levels, uint32_t features, const char *wanted) {
    const bool named = wanted != nullptr && *wanted != '\0';
    const Level *best = nullptr;
    std::string names;
    for (const Level &level : levels) {
        names += names.empty() ? level.name : std::string(", ") + level.name;
        if (named && std::strcmp(wanted, level.name) == 0) {
            if (!offered(level, features))
                fail(SLM_STATUS_UNSUPPORTED, "SLM_ISA asks for '%s', which this machine does not offer; leave it unset",
                     wanted);
            if (!proven(level))
                fail(SLM_STATUS_UNSUPPORTED,
                     "SLM_ISA asks for '%s', whose products came out wrong on this machine; leave it unset", wanted);
            return level;
        }
        if (!named && offered(level, features) && proven(level)) best = &level;
    }
    if (named) fail(SLM_STATUS_INVALID_ARGUMENT, "SLM_ISA is '%s', expected one of %s", wanted, names.c_str());
    return *best;
}

const Kernels &select_kernels() {
    return choose_level(cpu_levels(), cpu_features(), std::getenv("SLM_ISA")).kernels();
}

}  // namespace slm
