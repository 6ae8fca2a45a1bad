// The edge of the library: arguments are checked, exceptions become a status and a text, nothing else gets out.
#pragma once

#include <cstdio>
#include <new>

#include "core/error.hpp"
#include "core/mapping_guard.hpp"

namespace slm {

inline slm_status report(slm_status status, const char *text, char *error, size_t capacity) {
    if (error != nullptr && capacity > 0) std::snprintf(error, capacity, "%s", text);
    return status;
}

// What was computed from pages that read as zeros is not to be used, and a step not to be made from it.
inline void refuse_lost_data() {
    if (const uint64_t pages = lost_pages(); pages > 0)
        fail(SLM_STATUS_DATA_LOST,
             "%llu pages of a mapped file are gone: it became shorter while it was in use, or its disk failed",
             static_cast<unsigned long long>(pages));
}

template <typename Body>
slm_status guarded(char *error, size_t capacity, const Body &body) {
    if (error != nullptr && capacity > 0) error[0] = '\0';
    try {
        refuse_lost_data();
        body();
        refuse_lost_data();
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
