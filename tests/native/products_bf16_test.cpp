// Products in bf16: against f64 sums of the rounded operands, so that only the order of f32 sums is left.
#include <gtest/gtest.h>

#include "backend_tools.hpp"
#include "reference.hpp"

namespace {

using namespace slm_test;
namespace ref = slm_test::reference;
using slm::Backend;

/// Round to nearest even at 8 bits of mantissa.
float rounded(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
    std::memcpy(&x, &bits, sizeof bits);
    return x;
}

std::vector<double> rounded(const float *x, int64_t n) {
    std::vector<double> out;
    for (int64_t i = 0; i < n; ++i) out.push_back(double(rounded(x[i])));
    return out;
}

void expect_bf16(Backend &backend, uint32_t type, int64_t T, int64_t n_in, int64_t n_out, Random &random) {
    const std::string what = std::string(slm::find_quant_type(type)->name) + " T " + std::to_string(T) + ", " +
                             std::to_string(n_in) + " -> " + std::to_string(n_out);
    const std::vector<uint8_t> bytes = random_blocks(type, n_out * n_in, random);
    const std::vector<float> weights = dequantized(type, bytes);
    const slm::Weight view{slm::find_quant_type(type), bytes.data(), n_out, n_in};
    const std::vector<double> w = rounded(weights.data(), n_out * n_in);
    const Guarded x(random.floats(T * n_in)), dy(random.floats(T * n_out));
    const std::vector<double> x64 = rounded(x.data(), T * n_in), dy64 = rounded(dy.data(), T * n_out);
    std::vector<char> scratch(size_t(backend.precision_scratch(SLM_COMPUTE_BF16, T, n_in + n_out)));
    const slm::Precision precision{SLM_COMPUTE_BF16, scratch.data()};

    std::vector<double> want(size_t(T * n_out)), size(want.size());
    ref::matmul(T, n_in, n_out, x64.data(), w.data(), want.data());
    ref::matmul(T, n_in, n_out, absolute(x64).data(), absolute(w).data(), size.data());
    Guarded y(T * n_out, NAN);
    slm::LinearOutput out;
    out.y = y.data();
    out.ldy = n_out;
    out.terms[0] = {x.data(), n_in, view};
    backend.linear(T, &out, 1, precision);
    expect_sums(y, want, largest(size), what);

    std::vector<double> dx64(size_t(T * n_in)), dx_size(dx64.size());
    ref::matmul_dx(T, n_in, n_out, dy64.data(), w.data(), dx64.data());
    ref::matmul_dx(T, n_in, n_out, absolute(dy64).data(), absolute(w).data(), dx_size.data());
    Guarded dx(T * n_in, NAN);
    const slm::LinearGradTerm term{dy.data(), n_out, view};
    backend.linear_backward(T, &term, 1, dx.data(), n_in, false, precision);
    expect_sums(dx, dx64, largest(dx_size), what + " dx");

    // The gradient may be rounded where it lies: the same bits.
    Guarded overwritten(dy.values()), again(T * n_in, NAN);
    const slm::LinearGradTerm in_place{overwritten.data(), n_out, view};
    backend.linear_backward(T, &in_place, 1, again.data(), n_in, false, {SLM_COMPUTE_BF16, overwritten.data()});
    EXPECT_EQ(std::memcmp(dx.data(), again.data(), size_t(T * n_in) * sizeof(float)), 0) << what << " in place";
}

TEST(ProductsBf16, EverySizeAndType) {
    on_every_backend([](Backend &backend) {
        Random random(210);
        for (int64_t T : op_sizes) {
            for (int64_t n_in : op_sizes) {
                for (int64_t n_out : {1, 17, 257}) expect_bf16(backend, 0, T, n_in, n_out, random);
            }
        }
        for (uint32_t type : {1u, 30u}) expect_bf16(backend, type, 17, 33, 65, random);
        for (uint32_t type : {2u, 3u, 6u, 7u, 8u, 12u, 13u, 14u}) {
            expect_bf16(backend, type, 33, 256, 70, random);
            expect_bf16(backend, type, 3, 2304, 17, random);  // deeper than one packed panel, and not its multiple
            expect_bf16(backend, type, 5, 256, 2111, random);
        }
    });
}

TEST(ProductsBf16, AdapterTermsStayExact) {
    on_every_backend([](Backend &backend) {
        Random random(211);
        const int64_t T = 9, n_in = 32, n_out = 40, r = 3;
        const std::vector<uint8_t> bytes(size_t(n_out * n_in / 32 * 34), 0);
        const Guarded x(random.floats(T * n_in)), u(random.floats(T * r)), b(random.floats(n_out * r));
        std::vector<char> scratch(size_t(backend.precision_scratch(SLM_COMPUTE_BF16, T, n_in)));
        std::vector<double> want(size_t(T * n_out));
        ref::matmul(T, r, n_out, to_double(u.values()).data(), to_double(b.values()).data(), want.data());
        Guarded y(T * n_out, NAN);
        slm::LinearOutput out;
        out.y = y.data();
        out.ldy = n_out;
        out.terms[0] = {x.data(), n_in, {slm::find_quant_type(8), bytes.data(), n_out, n_in}};
        out.terms[1] = {u.data(), r, {slm::find_quant_type(0), b.data(), n_out, r}, true};
        out.n_terms = 2;
        backend.linear(T, &out, 1, {SLM_COMPUTE_BF16, scratch.data()});
        expect_close(y, want, 1e-6, "adapter term");
    });
}

}  // namespace
