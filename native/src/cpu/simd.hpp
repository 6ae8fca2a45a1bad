// One vector type per instruction set, chosen by the flags of the file that includes this. Everything is static: the
// same names are compiled several times with different instructions and must not be merged by the linker.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace slm {
namespace {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

typedef float vf __attribute__((vector_size(kLanes * 4)));
typedef int32_t vi __attribute__((vector_size(kLanes * 4)));
typedef float vfu __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

static inline vf load(const float *p) {
    return *reinterpret_cast<const vfu *>(p);
}
static inline void store(float *p, vf v) {
    *reinterpret_cast<vfu *>(p) = v;
}
static inline vf set1(float x) {
    return vf{} + x;
}

// A fused multiply-add where the instruction set has one; elsewhere two roundings.
static inline vf fma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

static inline vf max(vf a, vf b) {
    return a > b ? a : b;
}
static inline vf min(vf a, vf b) {
    return a < b ? a : b;
}

static inline vf sqrt(vf a) {
#if defined(__AVX512F__)
    return (vf)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX2__)
    return (vf)_mm256_sqrt_ps((__m256)a);
#else
    for (int i = 0; i < kLanes; ++i) a[i] = __builtin_sqrtf(a[i]);
    return a;
#endif
}

// Sums and maxima over lanes in a fixed order: halves are folded onto each other.
static inline float sum_lanes(vf v) {
    float x[kLanes];
    std::memcpy(x, &v, sizeof v);
    for (int width = kLanes / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) x[i] += x[i + width];
    return x[0];
}

static inline float max_lanes(vf v) {
    float x[kLanes];
    std::memcpy(x, &v, sizeof v);
    for (int width = kLanes / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) x[i] = x[i] > x[i + width] ? x[i] : x[i + width];
    return x[0];
}

// Partial vectors at the end of a row.
static inline vf load_part(const float *p, int64_t n, float fill = 0.0f) {
    float x[kLanes];
    for (int i = 0; i < kLanes; ++i) x[i] = i < n ? p[i] : fill;
    return load(x);
}
static inline void store_part(float *p, int64_t n, vf v) {
    std::memcpy(p, &v, static_cast<size_t>(n) * sizeof(float));
}

// e^x within 2 units in the last place; 0 below -87.3, finite at the top. Range reduction by ln 2 in two parts, then
// the Taylor polynomial to degree 7 on [-ln2/2, ln2/2].
static inline vf exp(vf x) {
    x = min(set1(88.3762589f), max(set1(-87.3365448f), x));  // in this order NaN stays NaN
    const vf shifter = set1(12582912.0f);                    // 1.5 * 2^23: adding it rounds to the nearest integer
    const vf n = (x * set1(1.44269504f) + shifter) - shifter;
    vf r = fma(n, set1(-0.693359375f), x);
    r = fma(n, set1(2.12194440e-4f), r);
    vf p = set1(1.0f / 5040);
    p = fma(p, r, set1(1.0f / 720));
    p = fma(p, r, set1(1.0f / 120));
    p = fma(p, r, set1(1.0f / 24));
    p = fma(p, r, set1(1.0f / 6));
    p = fma(p, r, set1(0.5f));
    p = fma(p, r, set1(1.0f));
    p = fma(p, r, set1(1.0f));
    const vi exponent = (__builtin_convertvector(n, vi) + 127) << 23;
    vf scale;
    std::memcpy(&scale, &exponent, sizeof scale);
    return p * scale;
}

static inline vf sigmoid(vf x) {
    return set1(1.0f) / (set1(1.0f) + exp(-x));
}

// tanh(x) = 1 - 2 / (e^{2x} + 1); for |x| < 0.625 the odd Taylor-like polynomial keeps the relative error small.
static inline vf tanh(vf x) {
    const vf large = set1(1.0f) - set1(2.0f) / (exp(x + x) + set1(1.0f));
    const vf z = x * x;
    vf p = set1(-5.70498872745e-3f);
    p = fma(p, z, set1(2.06390887954e-2f));
    p = fma(p, z, set1(-5.37397155531e-2f));
    p = fma(p, z, set1(1.33314422036e-1f));
    p = fma(p, z, set1(-3.33332819422e-1f));
    const vf small = fma(p * z, x, x);
    const vf size = x < 0.0f ? -x : x;
    return size < 0.625f ? small : large;
}

}  // namespace
}  // namespace slm
