// One vector type per instruction set, chosen by the flags of the file that includes this. Everything is static: the
// same names are compiled several times with different instructions and must not be merged by the linker.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(SLM_NEON)
#include <arm_neon.h>
#endif

// Vector registers that a tile may fill.
#if defined(__AVX512F__) || defined(SLM_NEON)
#define SLM_VECTOR_REGISTERS 32
#else
#define SLM_VECTOR_REGISTERS 16
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
#if defined(SLM_NEON)
    return (vf)vdupq_n_f32(x);
#else
    return vf{} + x;
#endif
}

// bf16 values: the upper halves of f32 numbers.
typedef uint16_t vh __attribute__((vector_size(kLanes * 2)));
typedef uint16_t vhu __attribute__((vector_size(kLanes * 2), aligned(2), may_alias));

static inline vf load(const uint16_t *p) {
    return (vf)(__builtin_convertvector((vh) * reinterpret_cast<const vhu *>(p), vi) << 16);
}

static inline uint16_t round_bf16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);  // NaN stays NaN
    return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

// Rounds to nearest even.
static inline void store(uint16_t *p, vf v) {
#if defined(__AVX512BF16__)
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)v);
    std::memcpy(p, &rounded, sizeof rounded);
#else
    const vi bits = (vi)v, upper = (bits >> 16) & 0xFFFF;
    const vi nearest = ((bits + 0x7FFF + (upper & 1)) >> 16) & 0xFFFF;
    const vi chosen = (bits & 0x7FFFFFFF) > 0x7F800000 ? upper | 0x40 : nearest;
    *reinterpret_cast<vhu *>(p) = __builtin_convertvector(chosen, vh);
#endif
}

// A fused multiply-add where the instruction set has one; elsewhere two roundings.
static inline vf fma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(SLM_NEON)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

// Where a value is NaN the second operand comes out.
static inline vf max(vf a, vf b) {
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return a > b ? a : b;
#endif
}
static inline vf min(vf a, vf b) {
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return a < b ? a : b;
#endif
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
#if defined(__AVX512F__)
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
    const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
#else
    float x[kLanes];
    std::memcpy(x, &v, sizeof v);
    for (int width = kLanes / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) x[i] += x[i + width];
    return x[0];
#endif
}

static inline float max_lanes(vf v) {
#if defined(__AVX512F__)
    const __m256 half = _mm256_max_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
    const __m128 quarter = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 pair = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)));
#else
    float x[kLanes];
    std::memcpy(x, &v, sizeof v);
    for (int width = kLanes / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) x[i] = x[i] > x[i + width] ? x[i] : x[i + width];
    return x[0];
#endif
}

// Partial vectors at the end of a row.
#if defined(__AVX512F__)
static inline __mmask16 first_lanes(int64_t n) {
    return static_cast<__mmask16>((1u << n) - 1);
}
static inline vf load_part(const float *p, int64_t n, float fill = 0.0f) {
    return (vf)_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_lanes(n), p);
}
static inline void store_part(float *p, int64_t n, vf v) {
    _mm512_mask_storeu_ps(p, first_lanes(n), (__m512)v);
}
static inline vf load_part(const uint16_t *p, int64_t n) {
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_lanes(n), p)), 16);
}
#else
static inline vf load_part(const float *p, int64_t n, float fill = 0.0f) {
    float x[kLanes];
    for (int i = 0; i < kLanes; ++i) x[i] = i < n ? p[i] : fill;
    return load(x);
}
static inline void store_part(float *p, int64_t n, vf v) {
    std::memcpy(p, &v, static_cast<size_t>(n) * sizeof(float));
}
static inline vf load_part(const uint16_t *p, int64_t n) {
    uint16_t x[kLanes] = {};
    std::memcpy(x, p, static_cast<size_t>(n) * sizeof(uint16_t));
    return load(x);
}
#endif
static inline void store_part(uint16_t *p, int64_t n, vf v) {
    uint16_t x[kLanes];
    store(x, v);
    std::memcpy(p, x, static_cast<size_t>(n) * sizeof(uint16_t));
}

// The first n lanes, zeros behind them.
static inline vf keep_lanes(vf v, int64_t n) {
    float x[kLanes];
    store(x, v);
    return load_part(x, n);
}

// v[2i] = v[2i + 1] = p[i]
static inline vf load_twice(const float *p) {
#if defined(__AVX512F__)
    const __m512i order = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return (vf)_mm512_permutexvar_ps(order, _mm512_castps256_ps512(_mm256_loadu_ps(p)));
#elif defined(__AVX2__)
    const __m256i order = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    return (vf)_mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), order);
#else
    return vf{p[0], p[0], p[1], p[1]};
#endif
}

static inline vf swap_pairs(vf v) {
#if defined(__AVX512F__)
    return (vf)_mm512_permute_ps((__m512)v, 0xB1);
#elif defined(__AVX2__)
    return (vf)_mm256_permute_ps((__m256)v, 0xB1);
#else
    return vf{v[1], v[0], v[3], v[2]};
#endif
}

// To the nearest whole number; |x| below 2^22.
static inline vf nearest(vf x) {
#if defined(__AVX512F__)
    return (vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    const vf shifter = set1(12582912.0f);  // 1.5 * 2^23
    return (x + shifter) - shifter;
#endif
}

// x 2^n of a whole n from -126 to 127
static inline vf times_power(vf x, vf n) {
#if defined(__AVX512F__)
    return (vf)_mm512_scalef_ps((__m512)x, (__m512)n);
#else
    const vi exponent = (__builtin_convertvector(n, vi) + 127) << 23;
    vf power;
    std::memcpy(&power, &exponent, sizeof power);
    return x * power;
#endif
}

// e^x within 2 units in the last place; not less than e^least, finite at the top. Range reduction by ln 2 in two parts,
// then the Taylor polynomial to degree 7 on [-ln2/2, ln2/2].
static inline vf exp(vf x, float least = -87.3365448f) {
    x = min(set1(88.3762589f), max(set1(least), x));  // in this order NaN stays NaN
    const vf n = nearest(x * set1(1.44269504f));
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
    return times_power(p, n);
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
