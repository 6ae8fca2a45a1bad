// Failures inside the library: one exception type that carries the status of the C boundary and its text.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <exception>
#include <string>

#include "slimming.h"

namespace slm {

class Error : public std::exception {
 public:
    Error(slm_status status, std::string text) : status_(status), text_(std::move(text)) {}
    slm_status status() const { return status_; }
    const char *what() const noexcept override { return text_.c_str(); }

 private:
    slm_status status_;
    std::string text_;
};

[[noreturn]] __attribute__((format(printf, 2, 3))) inline void fail(slm_status status, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    throw Error(status, text);
}

}  // namespace slm
