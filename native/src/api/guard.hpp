// The edge of the library: arguments are checked, exceptions become a status and a text, nothing else gets out.
#pragma once

#include <cstdio>
#include <new>

#include "core/error.hpp"

namespace slm {

inline slm_status report(slm_status status, const char *text, char *error, size_t capacity) {
    if (error != nullptr && capacity > 0) std::snprintf(error, capacity, "%s", text);
    return status;
}

template <typename Body>
slm_status guarded(char *error, size_t capacity, const Body &body) {
    if (error != nullptr && capacity > 0) error[0] = '\0';
    try {
        body();
        return SLM_STATUS_OK;
    } catch (const Error &failure) {
        return report(failure.status(), failure.what(), error, capacity);
    } catch (const std::bad_alloc &) {
        return report(SLM_STATUS_OUT_OF_MEMORY, "out of memory", error, capacity);
    } catch (const std::exception &failure) {
        return report(SLM_STATUS_INTERNAL, failure.what(), error, capacity);
    } catch (...) {
        return report(SLM_STATUS_INTERNAL, "an unknown failure", error, capacity);
    }
}

inline void require(const void *pointer, const char *name) {
    if (pointer == nullptr) fail(SLM_STATUS_INVALID_ARGUMENT, "%s is NULL", name);
}

template <typename Struct>
void require_struct(const Struct *value, const char *name) {
    require(value, name);
    if (value->size != sizeof(Struct))
        fail(SLM_STATUS_INVALID_ARGUMENT, "%s.size is %llu, expected %zu: header and library differ", name,
             static_cast<unsigned long long>(value->size), sizeof(Struct));
}

}  // namespace slm
