// A minimal GGUF reader for fixtures: tensors by name, metadata only as far as it must be skipped or a test asks for
// it. The library reads no files, so the tests bring this.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace slm_test {

/// Folder of the shared reference files; it may not exist.
inline std::filesystem::path shared_folder() {
    if (const char *set = std::getenv("SLIMMING_SHARED"); set && *set) return set;
    return std::filesystem::path(SLM_REPO_ROOT) / ".." / "shared";
}

struct GgufFixtureTensor {
    uint32_t type = 0;
    std::vector<int64_t> ne;
    const uint8_t *data = nullptr;
    int64_t n_values() const {
        int64_t n = 1;
        for (int64_t e : ne) n *= e;
        return n;
    }
};

class GgufFixture {
 public:
    explicit GgufFixture(const std::filesystem::path &path) {
        std::ifstream in(path, std::ios::binary);
        if (!in) throw std::runtime_error("cannot open " + path.string());
        bytes_.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
        if (bytes_.size() < 24 || std::memcmp(bytes_.data(), "GGUF", 4) != 0) {
            throw std::runtime_error(path.string() + ": not GGUF");
        }
        position_ = 8;
        const uint64_t n_tensors = read<uint64_t>();
        const uint64_t n_keys = read<uint64_t>();
        for (uint64_t i = 0; i < n_keys; ++i) {
            const std::string key = text();
            value(key, read<uint32_t>());
        }
        std::vector<uint64_t> offsets;
        std::vector<std::string> names;
        for (uint64_t i = 0; i < n_tensors; ++i) {
            const std::string name = text();
            GgufFixtureTensor tensor;
            tensor.ne.resize(read<uint32_t>());
            for (int64_t &e : tensor.ne) e = int64_t(read<uint64_t>());
            tensor.type = read<uint32_t>();
            offsets.push_back(read<uint64_t>());
            names.push_back(name);
            tensors[name] = tensor;
        }
        const size_t align = size_t(numbers.count("general.alignment") ? numbers["general.alignment"] : 32);
        const size_t start = (position_ + align - 1) / align * align;
        for (size_t i = 0; i < names.size(); ++i) {
            if (start + offsets[i] > bytes_.size()) throw std::runtime_error(names[i] + ": beyond the end of the file");
            tensors[names[i]].data = bytes_.data() + start + offsets[i];
        }
    }
    GgufFixture(const GgufFixture &) = delete;
    GgufFixture &operator=(const GgufFixture &) = delete;

    std::map<std::string, GgufFixtureTensor> tensors;
    std::map<std::string, double> numbers;  ///< scalar metadata
    std::map<std::string, std::string> strings;

 private:
    template <class T>
    T read() {
        if (position_ + sizeof(T) > bytes_.size()) throw std::runtime_error("GGUF fixture is truncated");
        T v;
        std::memcpy(&v, bytes_.data() + position_, sizeof v);
        position_ += sizeof v;
        return v;
    }
    std::string text() {
        const uint64_t n = read<uint64_t>();
        if (n > bytes_.size() - position_) throw std::runtime_error("GGUF fixture is truncated");
        std::string s(reinterpret_cast<const char *>(bytes_.data() + position_), n);
        position_ += n;
        return s;
    }
    void value(const std::string &key, uint32_t type) {
        switch (type) {
            case 0:
                numbers[key] = read<uint8_t>();
                return;
            case 1:
                numbers[key] = read<int8_t>();
                return;
            case 2:
                numbers[key] = read<uint16_t>();
                return;
            case 3:
                numbers[key] = read<int16_t>();
                return;
            case 4:
                numbers[key] = read<uint32_t>();
                return;
            case 5:
                numbers[key] = read<int32_t>();
                return;
            case 6:
                numbers[key] = double(read<float>());
                return;
            case 7:
                numbers[key] = read<uint8_t>();
                return;
            case 8:
                strings[key] = text();
                return;
            case 9: {
                const uint32_t element = read<uint32_t>();
                const uint64_t n = read<uint64_t>();
                for (uint64_t i = 0; i < n; ++i) value(key + "[]", element);  // keeps the last: no test asks for arrays
                return;
            }
            case 10:
                numbers[key] = double(read<uint64_t>());
                return;
            case 11:
                numbers[key] = double(read<int64_t>());
                return;
            case 12:
                numbers[key] = read<double>();
                return;
            default:
                throw std::runtime_error("GGUF fixture: value type " + std::to_string(type));
        }
    }

    std::vector<uint8_t> bytes_;
    size_t position_ = 0;
};

}  // namespace slm_test
