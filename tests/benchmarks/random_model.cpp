#include "random_model.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/random.hpp"

namespace bench {

namespace {

constexpr uint64_t kFileAlignment = 32;

// blocks-1b: layers of Llama-3.2-1B with a small head, where a type's share of the time is largest.
constexpr Shape kShapes[] = {
    {"smollm2-135m", "llama", 30, 576, 9, 3, 64, 1536, 49152, true, 100000, "q8_0"},
    {"llama-3.2-1b", "llama", 16, 2048, 32, 8, 64, 8192, 128256, true, 500000, "q6_k"},
    {"gemma-2b", "gemma", 18, 2048, 8, 1, 256, 16384, 256000, true, 10000, "q6_k"},
    {"llama-3-8b", "llama", 32, 4096, 32, 8, 128, 14336, 128256, false, 500000, "q4_k"},
    {"blocks-1b", "llama", 4, 2048, 32, 8, 64, 8192, 8192, true, 500000, nullptr},
};

[[noreturn]] void stop(const std::string &message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(2);
}

// Where a block keeps its f16 factors, and the numbers put there so that weights stay small and centred.
void set_factors(const slm::QuantType &type, uint8_t *block) {
    const auto put = [&](int at, uint16_t f16) { std::memcpy(block + at, &f16, 2); };
    const auto old = [&](int at) {
        uint16_t value;
        std::memcpy(&value, block + at, 2);
        return value;
    };
    constexpr uint16_t kMilli = 0x1400, kMinusOffset = 0xA400;  // 2^-10; -2^-6, the middle of 0 .. 31 times 2^-10
    switch (type.id) {
        case 0:  // floats keep sign and mantissa, with an exponent that is neither denormal nor large
            put(2, static_cast<uint16_t>((old(2) & 0x80FF) | 0x3C00));
            return;
        case 1:
            put(0, static_cast<uint16_t>((old(0) & 0x87FF) | 0x2000));
            return;
        case 30:
            put(0, static_cast<uint16_t>((old(0) & 0x80FF) | 0x3C00));
            return;
        case 3:
        case 7:
            put(0, kMilli);
            put(2, kMinusOffset);
            return;
        case 12:
        case 13:
            put(0, 0x0800);  // 2^-13, times scales of 6 bits
            put(2, 0x1380);  // 7.5 * 2^-13
            return;
        case 14:
            put(208, 0x0400);
            return;
        case 2:
        case 6:
        case 8:
        case 20:
            put(0, kMilli);
            return;
        default:
            stop(std::string("random blocks of ") + type.name + " are not made here");
    }
}

std::vector<uint8_t> random_blocks(const slm::QuantType &type, const char *name, size_t bytes) {
    std::vector<uint8_t> out((bytes + 7) / 8 * 8);
    const uint64_t key = slm::hash_name(name);
    for (size_t i = 0; i < out.size(); i += 8) {
        const uint64_t draw = slm::random_bits(key, i);
        std::memcpy(out.data() + i, &draw, 8);
    }
    out.resize(bytes);
    const size_t block = static_cast<size_t>(type.block_bytes);
    for (size_t b = 0; b + block <= bytes; b += block) set_factors(type, out.data() + b);
    return out;
}

// llama.cpp's rule for the layers whose value and down matrices get more bits in its medium mixes.
bool more_bits(int layer, int n_layer) {
    return layer < n_layer / 8 || layer >= 7 * n_layer / 8 || (layer - n_layer / 8) % 3 == 2;
}

// Little-endian GGUF version 3.
class HeaderWriter {
 public:
    template <typename T>
    void number(T value) {
        text_.append(reinterpret_cast<const char *>(&value), sizeof value);
    }
    void string(const std::string &value) {
        number<uint64_t>(value.size());
        text_ += value;
    }
    void key_u32(const std::string &key, int64_t value) {
        string(key);
        number<uint32_t>(4);
        number<uint32_t>(static_cast<uint32_t>(value));
        ++keys;
    }
    void key_f32(const std::string &key, float value) {
        string(key);
        number<uint32_t>(6);
        number(value);
        ++keys;
    }
    void key_string(const std::string &key, const std::string &value) {
        string(key);
        number<uint32_t>(8);
        string(value);
        ++keys;
    }
    // Elements follow, `count` of them.
    void key_array(const std::string &key, uint32_t element, uint64_t count) {
        string(key);
        number<uint32_t>(9);
        number(element);
        number(count);
        ++keys;
    }
    const std::string &text() const { return text_; }
    uint64_t keys = 0;

 private:
    std::string text_;
};

}  // namespace

const Shape &shape_named(const std::string &name) {
    std::string known;
    for (const Shape &shape : kShapes) {
        if (name == shape.name) return shape;
        known.append(known.empty() ? "" : ", ").append(shape.name);
    }
    stop("unknown shape " + name + ", expected one of " + known);
}

const slm::QuantType &type_named(std::string_view name) {
    for (uint32_t id = 0; id < 64; ++id)
        if (const slm::QuantType *type = slm::find_quant_type(id); type != nullptr && name == type->name) return *type;
    stop("unknown type " + std::string(name));
}

RandomModel::RandomModel(const std::string &path, const Shape &shape, const std::string &type, int n_layer)
    : shape_(shape) {
    if (n_layer > 0) shape_.n_layer = n_layer;
    slm_model_params &p = params_;
    const bool gemma = std::strcmp(shape.architecture, "gemma") == 0;
    p.size = sizeof p;
    p.architecture = shape.architecture;
    p.n_layer = shape_.n_layer;
    p.n_embd = shape.n_embd;
    p.n_head = shape.n_head;
    p.n_head_kv = shape.n_head_kv;
    p.n_embd_head = p.n_rot = shape.n_embd_head;
    p.n_ff = shape.n_ff;
    p.n_vocab = shape.n_vocab;
    p.rope_type = gemma ? SLM_ROPE_TYPE_NEOX : SLM_ROPE_TYPE_PAIRS;
    p.activation = gemma ? SLM_ACTIVATION_GELU_TANH : SLM_ACTIVATION_SILU;
    p.norm_rms_epsilon = 1e-5f;
    p.rope_freq_base = shape.rope_base;
    p.rope_freq_scale = 1;
    p.embedding_scale = gemma ? std::sqrt(static_cast<float>(shape.n_embd)) : 1;
    p.attention_scale = 1 / std::sqrt(static_cast<float>(shape.n_embd_head));
    plan(type);

    const std::string head = header();
    file_bytes_ = head.size() + data_bytes_;
    struct stat status {};
    if (stat(path.c_str(), &status) != 0 || static_cast<uint64_t>(status.st_size) != file_bytes_) write(path, head);
    const int fd = open(path.c_str(), O_RDONLY);
    if (fd < 0) stop("cannot open " + path + ": " + std::strerror(errno));
    mapping_ = mmap(nullptr, file_bytes_, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (mapping_ == MAP_FAILED) stop("cannot map " + path + ": " + std::strerror(errno));
    for (const Entry &entry : entries_) {
        slm_tensor t{};
        t.size = sizeof t;
        t.name = entry.name.c_str();
        t.type = entry.type->id;
        t.n_dims = entry.rows == 1 ? 1 : 2;
        t.ne[0] = entry.columns;
        t.ne[1] = entry.rows;
        t.ne[2] = t.ne[3] = 1;
        t.data = static_cast<const char *>(mapping_) + head.size() + entry.offset;
        t.n_bytes = entry.bytes;
        tensors_.push_back(t);
    }
}

RandomModel::~RandomModel() {
    munmap(mapping_, file_bytes_);
}

void RandomModel::add(const std::string &name, const slm::QuantType &type, int64_t columns, int64_t rows) {
    if (columns % type.block_values != 0)
        stop(std::string(type.name) + " has blocks of " + std::to_string(type.block_values) + " values, and rows of " +
             std::to_string(columns) + " values are no multiple: take another shape");
    const uint64_t bytes = static_cast<uint64_t>(columns / type.block_values * type.block_bytes * rows);
    entries_.push_back({name, &type, columns, rows, data_bytes_, bytes});
    data_bytes_ = (data_bytes_ + bytes + kFileAlignment - 1) / kFileAlignment * kFileAlignment;
}

void RandomModel::plan(const std::string &type) {
    const Shape &s = shape_;
    const bool mix = type == "q4_k_m";
    const slm::QuantType &f32 = type_named("f32"), &base = type_named(mix ? "q4_k" : type), &rich = type_named("q6_k"),
                         &embedding = s.embedding_type ? type_named(s.embedding_type) : base;
    const int64_t q = s.n_head * s.n_embd_head, kv = s.n_head_kv * s.n_embd_head;
    add("token_embd.weight", embedding, s.n_embd, s.n_vocab);
    add("output_norm.weight", f32, s.n_embd, 1);
    if (!s.tied) add("output.weight", mix ? rich : base, s.n_embd, s.n_vocab);
    for (int i = 0; i < s.n_layer; ++i) {
        const std::string p = "blk." + std::to_string(i) + ".";
        const slm::QuantType &more = mix && more_bits(i, s.n_layer) ? rich : base;
        add(p + "attn_norm.weight", f32, s.n_embd, 1);
        add(p + "attn_q.weight", base, s.n_embd, q);
        add(p + "attn_k.weight", base, s.n_embd, kv);
        add(p + "attn_v.weight", more, s.n_embd, kv);
        add(p + "attn_output.weight", base, q, s.n_embd);
        add(p + "ffn_norm.weight", f32, s.n_embd, 1);
        add(p + "ffn_gate.weight", base, s.n_embd, s.n_ff);
        add(p + "ffn_up.weight", base, s.n_embd, s.n_ff);
        add(p + "ffn_down.weight", more, s.n_ff, s.n_embd);
    }
}

// With the keys and the vocabulary that the whole program asks for, so that `slimming train` runs on the file too.
std::string RandomModel::header() const {
    const Shape &s = shape_;
    const std::string arch = s.architecture, dot = arch + ".";
    HeaderWriter keys;
    keys.key_string("general.architecture", arch);
    keys.key_string("general.name", std::string("random blocks in the shape of ") + s.name);
    keys.key_u32(dot + "block_count", s.n_layer);
    keys.key_u32(dot + "context_length", 8192);
    keys.key_u32(dot + "embedding_length", s.n_embd);
    keys.key_u32(dot + "feed_forward_length", s.n_ff);
    keys.key_u32(dot + "attention.head_count", s.n_head);
    keys.key_u32(dot + "attention.head_count_kv", s.n_head_kv);
    keys.key_u32(dot + "attention.key_length", s.n_embd_head);
    keys.key_u32(dot + "attention.value_length", s.n_embd_head);
    keys.key_f32(dot + "attention.layer_norm_rms_epsilon", 1e-5f);
    keys.key_u32(dot + "rope.dimension_count", s.n_embd_head);
    keys.key_f32(dot + "rope.freq_base", s.rope_base);
    keys.key_u32(dot + "vocab_size", s.n_vocab);
    keys.key_string("tokenizer.ggml.model", "gpt2");
    keys.key_string("tokenizer.ggml.pre", "smollm");
    keys.key_array("tokenizer.ggml.tokens", 8, static_cast<uint64_t>(s.n_vocab));
    for (int i = 0; i < s.n_vocab; ++i) keys.string(std::string("t").append(std::to_string(i)));
    keys.key_array("tokenizer.ggml.token_type", 5, static_cast<uint64_t>(s.n_vocab));
    for (int i = 0; i < s.n_vocab; ++i) keys.number<int32_t>(1);
    keys.key_array("tokenizer.ggml.merges", 8, 1);
    keys.string("t 1");
    keys.key_u32("tokenizer.ggml.bos_token_id", 0);
    keys.key_u32("tokenizer.ggml.eos_token_id", 0);

    HeaderWriter all;
    all.number<uint32_t>(0x46554747);  // "GGUF"
    all.number<uint32_t>(3);
    all.number<uint64_t>(entries_.size());
    all.number<uint64_t>(keys.keys);
    std::string head = all.text() + keys.text();
    HeaderWriter infos;
    for (const Entry &entry : entries_) {
        infos.string(entry.name);
        infos.number<uint32_t>(entry.rows == 1 ? 1 : 2);
        infos.number<uint64_t>(static_cast<uint64_t>(entry.columns));
        if (entry.rows != 1) infos.number<uint64_t>(static_cast<uint64_t>(entry.rows));
        infos.number<uint32_t>(entry.type->id);
        infos.number<uint64_t>(entry.offset);
    }
    head += infos.text();
    head.resize((head.size() + kFileAlignment - 1) / kFileAlignment * kFileAlignment);
    return head;
}

void RandomModel::write(const std::string &path, const std::string &head) const {
    FILE *file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) stop("cannot write " + path + ": " + std::strerror(errno));
    const auto put = [&](const void *data, size_t bytes) {
        if (std::fwrite(data, 1, bytes, file) != bytes) {
            std::fclose(file);
            std::remove(path.c_str());
            stop("cannot write " + path + ": " + std::strerror(errno));
        }
    };
    put(head.data(), head.size());
    for (const Entry &entry : entries_) {
        const bool norm = entry.rows == 1;
        // Whole blocks, a few MiB of them, over and over: where a byte lies matters to the speed, not its value.
        const size_t block = static_cast<size_t>(entry.type->block_bytes),
                     chunk = std::min<size_t>(entry.bytes, (4u << 20) / block * block);
        std::vector<uint8_t> bytes =
            norm ? std::vector<uint8_t>(entry.bytes) : random_blocks(*entry.type, entry.name.c_str(), chunk);
        if (norm)
            for (size_t i = 0; i < entry.bytes; i += 4) {
                const float one = 1;
                std::memcpy(bytes.data() + i, &one, 4);
            }
        uint64_t written = 0;
        for (; written < entry.bytes; written += std::min<uint64_t>(bytes.size(), entry.bytes - written))
            put(bytes.data(), std::min<uint64_t>(bytes.size(), entry.bytes - written));
        const uint8_t padding[kFileAlignment] = {};
        put(padding, (kFileAlignment - entry.bytes % kFileAlignment) % kFileAlignment);
    }
    if (std::fclose(file) != 0) stop("cannot write " + path + ": " + std::strerror(errno));
}

}  // namespace bench
