#include "api/self_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/random.hpp"

namespace slm {

namespace {

// Odd sizes on purpose: edges of tiles, panels and vectors are all met.
constexpr int64_t kRows = 37, kOutputs = 83, kInputs = 512;

std::vector<float> draw(uint64_t key, int64_t n, float width = 1.0f) {
    std::vector<float> x(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
        x[static_cast<size_t>(i)] = (2.0f * random_unit(key, static_cast<uint64_t>(i)) - 1.0f) * width;
    return x;
}

// Bytes whose f16 scale fields are small numbers, so that every block type dequantizes to sane values.
std::vector<uint8_t> draw_blocks(const QuantType &type, int64_t values) {
    const int64_t blocks = values / type.block_values;
    std::vector<uint8_t> bytes(static_cast<size_t>(blocks * type.block_bytes));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(random_bits(7, i));
    // f16 and bf16 values: any sign and mantissa, one exponent.
    if (type.id == 1 || type.id == 30)
        for (size_t i = 1; i < bytes.size(); i += 2) bytes[i] = static_cast<uint8_t>((bytes[i] & 0x83) | 0x3C);
    const uint16_t scale = 0x2100;  // 2^-7 * 1.25
    for (int64_t b = 0; b < blocks; ++b) {
        uint8_t *block = bytes.data() + b * type.block_bytes;
        // q6_k keeps its scale at the end of the block, the others at the start (two of them in the x_1 and k types).
        if (type.id == 14)
            std::memcpy(block + 208, &scale, 2);
        else if (type.block_values > 1) {
            std::memcpy(block, &scale, 2);
            if (type.id == 3 || type.id == 7 || type.id == 12 || type.id == 13) std::memcpy(block + 2, &scale, 2);
        }
    }
    return bytes;
}

struct Worst {
    double value = 0;
    void add(double got, double want, double size) {
        const double error = std::abs(got - want) / std::max(size, 1e-30);
        if (!(error <= value)) value = error;
    }
};

double check_linear(Runtime &runtime, const QuantType &type, bool backward, slm_compute compute = SLM_COMPUTE_F32) {
    const std::vector<uint8_t> blocks = draw_blocks(type, kOutputs * kInputs);
    const bool own_floats = type.id == 0;  // f32 is drawn as numbers: random bytes would hold NaN
    std::vector<float> w = draw(3, kOutputs * kInputs);
    if (!own_floats) type.dequantize(blocks.data(), w.data(), kOutputs * kInputs);
    const Weight weight{&type, own_floats ? static_cast<const void *>(w.data()) : blocks.data(), kOutputs, kInputs};
    const int64_t k = backward ? kOutputs : kInputs, n = backward ? kInputs : kOutputs;
    const std::vector<float> x = draw(5, kRows * k);
    std::vector<float> y(static_cast<size_t>(kRows * n));
    std::vector<uint16_t> rounded;
    const int64_t ld = k + k % 2;
    if (compute == SLM_COMPUTE_BF16) {
        rounded.assign(static_cast<size_t>(kRows * ld), 0);
        for (int64_t r = 0; r < kRows; ++r) runtime.backend.copy(k, x.data() + r * k, rounded.data() + r * ld);
    }
    ConstValues operand = compute == SLM_COMPUTE_BF16 ? ConstValues(rounded.data()) : ConstValues(x.data());
    int64_t stride = compute == SLM_COMPUTE_BF16 ? ld : k;
    std::vector<uint8_t> integers;
    if (compute == SLM_COMPUTE_INT8) {
        stride = q8_row_bytes(k);
        integers.resize(static_cast<size_t>(kRows * stride));
        const Values out(integers.data(), Format::Q8);
        runtime.backend.quantize(kRows, k, x.data(), out);
        operand = out;
    }
    if (backward) {
        const LinearGradTerm term{operand, stride, weight};
        runtime.backend.linear_backward(kRows, &term, 1, y.data(), n, false);
    } else {
        LinearOutput out;
        out.y = y.data();
        out.ldy = n;
        out.terms[0] = {operand, stride, weight};
        runtime.backend.linear(kRows, &out, 1);
    }
    Worst worst;
    for (int64_t r = 0; r < kRows; ++r)
        for (int64_t j = 0; j < n; ++j) {
            double sum = 0, size = 0;
            for (int64_t i = 0; i < k; ++i) {
                const double product = static_cast<double>(x[static_cast<size_t>(r * k + i)]) *
                                       static_cast<double>(w[static_cast<size_t>(backward ? i * n + j : j * k + i)]);
                sum += product;
                size += std::abs(product);
            }
            worst.add(static_cast<double>(y[static_cast<size_t>(r * n + j)]), sum, size);
        }
    return worst.value;
}

// One head over two packed sequences against softmax(q k^T) v in double.
double check_attention(Runtime &runtime) {
    const AttentionShape shape{2, 1, 24, 0, 0.2f, 0.0f};
    const int64_t offsets[] = {0, 70, 131}, T = 131, hd = 24;
    const std::vector<float> q = draw(11, T * 2 * hd), k = draw(12, T * hd), v = draw(13, T * hd);
    std::vector<float> out(static_cast<size_t>(T * 2 * hd)), lse(static_cast<size_t>(T * 2));
    std::vector<char> scratch(static_cast<size_t>(runtime.backend.attention_scratch(shape, T, Format::F32)) +
                              kAlignment);
    void *aligned = scratch.data();
    size_t space = scratch.size();
    std::align(kAlignment, scratch.size() - kAlignment, aligned, space);
    runtime.backend.attention(shape, {2, offsets}, q.data(), k.data(), v.data(), out.data(), lse.data(), aligned);
    Worst worst;
    for (int s = 0; s < 2; ++s)
        for (int64_t i = offsets[s]; i < offsets[s + 1]; ++i)
            for (int64_t h = 0; h < 2; ++h) {
                std::vector<double> p;
                double sum = 0;
                for (int64_t j = offsets[s]; j <= i; ++j) {
                    double score = 0;
                    for (int64_t c = 0; c < hd; ++c)
                        score += static_cast<double>(q[static_cast<size_t>((i * 2 + h) * hd + c)]) *
                                 static_cast<double>(k[static_cast<size_t>(j * hd + c)]);
                    p.push_back(std::exp(static_cast<double>(shape.scale) * score));
                    sum += p.back();
                }
                for (int64_t c = 0; c < hd; ++c) {
                    double want = 0;
                    for (size_t j = 0; j < p.size(); ++j)
                        want += p[j] / sum *
                                static_cast<double>(v[(static_cast<size_t>(offsets[s]) + j) * static_cast<size_t>(hd) +
                                                      static_cast<size_t>(c)]);
                    worst.add(static_cast<double>(out[static_cast<size_t>((i * 2 + h) * hd + c)]), want, 1.0);
                }
            }
    return worst.value;
}

double check_cross_entropy(Runtime &runtime) {
    const int64_t n = 4099;
    std::vector<float> x = draw(17, n, 8.0f);
    const std::vector<float> logits = x;
    const int32_t target = 1234;
    double loss = 0, sum = 0;
    runtime.backend.cross_entropy(1, n, 0.0f, x.data(), &target, true, &loss);
    for (float value : logits) sum += std::exp(static_cast<double>(value));
    Worst worst;
    worst.add(loss, std::log(sum) - static_cast<double>(logits[target]), 1.0);
    for (int64_t i = 0; i < n; ++i)
        worst.add(static_cast<double>(x[static_cast<size_t>(i)]),
                  std::exp(static_cast<double>(logits[static_cast<size_t>(i)])) / sum - (i == target ? 1.0 : 0.0), 1.0);
    return worst.value;
}

constexpr uint32_t kCheckedTypes[] = {0, 1, 30, 2, 3, 6, 7, 8, 12, 13, 14};
constexpr int32_t kTypes = static_cast<int32_t>(std::size(kCheckedTypes));

}  // namespace

int32_t self_check_count() {
    return 2 * kTypes + 5;
}

void run_self_check(Runtime &runtime, int32_t index, slm_self_check &out) {
    out.tolerance = 2e-6;
    if (index < 2 * kTypes) {
        const QuantType &type = *find_quant_type(kCheckedTypes[index / 2]);
        const bool backward = index % 2 == 1;
        std::snprintf(out.name, sizeof out.name, "%s %s", backward ? "linear backward" : "linear", type.name);
        out.difference = check_linear(runtime, type, backward);
    } else if (index == 2 * kTypes) {
        std::snprintf(out.name, sizeof out.name, "attention over packed sequences");
        out.difference = check_attention(runtime);
    } else if (index == 2 * kTypes + 4) {
        // Activations are rounded to 1/32512 of the largest of 32: 2^-16 of it, or twice where the last byte is full.
        out.tolerance = 0x1p-14;
        std::snprintf(out.name, sizeof out.name, "int8 mode, linear q4_1");
        out.difference = check_linear(runtime, *find_quant_type(3), false, SLM_COMPUTE_INT8);
    } else if (index > 2 * kTypes + 1) {
        // The distance of a compute mode from f32: both operands are rounded to 8 bits of mantissa, 2^-9 of each.
        const bool backward = index == 2 * kTypes + 3;
        out.tolerance = 0x1p-8;
        std::snprintf(out.name, sizeof out.name, "bf16 mode, linear%s q4_1", backward ? " backward" : "");
        out.difference = check_linear(runtime, *find_quant_type(3), backward, SLM_COMPUTE_BF16);
    } else {
        std::snprintf(out.name, sizeof out.name, "cross entropy and its gradient");
        out.difference = check_cross_entropy(runtime);
    }
    out.passed = out.difference <= out.tolerance;
}

}  // namespace slm
