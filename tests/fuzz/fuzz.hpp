// What the fuzz targets share: the input as a stream of choices, handles that free themselves, and what every answer
// must be.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "slimming.h"

namespace slm_fuzz {

// Values out of the input; behind its end all are zero.
class Input {
 public:
    Input(const uint8_t *data, size_t size) : data_(data), size_(size) {}
    template <typename T>
    T raw() {
        T value{};
        const size_t n = std::min(sizeof value, size_);
        if (n > 0) std::memcpy(&value, data_, n);
        data_ += n;
        size_ -= n;
        return value;
    }
    // In [low, high].
    int64_t whole(int64_t low, int64_t high) {
        const uint64_t range = static_cast<uint64_t>(high - low) + 1;
        const uint64_t value = range <= 256 ? raw<uint8_t>() : range <= 65536 ? raw<uint16_t>() : raw<uint32_t>();
        return low + static_cast<int64_t>(value % range);
    }
    bool flag() { return (raw<uint8_t>() & 1) != 0; }
    // One time in 16 any value at all, else one in [low, high]: most inputs get past the first check.
    template <typename T>
    T mostly(int64_t low, int64_t high) {
        return raw<uint8_t>() < 16 ? raw<T>() : static_cast<T>(whole(low, high));
    }
    std::vector<uint8_t> bytes(size_t n) {
        std::vector<uint8_t> out(n);
        const size_t given = std::min(n, size_);
        if (given > 0) std::memcpy(out.data(), data_, given);
        data_ += given;
        size_ -= given;
        return out;
    }
    size_t left() const { return size_; }

 private:
    const uint8_t *data_;
    size_t size_;
};

template <typename T>
T sized() {
    T value{};
    value.size = sizeof(T);
    return value;
}

// The text of a failure is there and ends within its buffer; a success leaves it empty.
struct Answer {
    char text[96];
    bool operator()(slm_status status) {
        if (status > SLM_STATUS_DATA_LOST || status == SLM_STATUS_INTERNAL) std::abort();
        if (std::memchr(text, '\0', sizeof text) == nullptr) std::abort();
        if ((status == SLM_STATUS_OK) != (text[0] == '\0')) std::abort();
        return status == SLM_STATUS_OK;
    }
};

template <typename T, void (*Free)(T *)>
struct Freer {
    void operator()(T *object) const { Free(object); }
};
using Model = std::unique_ptr<slm_model, Freer<slm_model, slm_model_free>>;
using Adapter = std::unique_ptr<slm_adapter, Freer<slm_adapter, slm_adapter_free>>;
using Context = std::unique_ptr<slm_context, Freer<slm_context, slm_context_free>>;

// One for all inputs: threads are slow to start.
inline slm_runtime *runtime() {
    static slm_runtime *const made = [] {
        slm_runtime_params params = sized<slm_runtime_params>();
        params.n_threads = 2;
        slm_runtime *out = nullptr;
        Answer answer;
        if (!answer(slm_runtime_create(&params, &out, answer.text, sizeof answer.text))) std::abort();
        return out;
    }();
    return made;
}

// A decoder of the input's choice, sound unless `broken`, with weights out of the input.
struct Decoder {
    slm_model_params params = sized<slm_model_params>();
    std::vector<std::string> names;
    std::vector<std::vector<uint8_t>> data;
    std::vector<slm_tensor> tensors;

    Decoder(Input &in, bool broken);
    Model create() const {
        slm_model *out = nullptr;
        Answer answer;
        const bool made =
            answer(slm_model_create(runtime(), &params, tensors.data(), static_cast<int64_t>(tensors.size()), &out,
                                    answer.text, sizeof answer.text));
        if (made != (out != nullptr)) std::abort();
        return Model(out);
    }

 private:
    void add(Input &in, const std::string &name, uint32_t type, int64_t columns, int64_t rows, bool broken);
};

}  // namespace slm_fuzz
