// Unpacking by table look-up where the instruction set has a wide permute: a block of 4-bit codes has 16 possible
// values, computed once as the plain loops compute them, so the bits are the same.
#pragma once

#include "cpu/simd.hpp"
#include "quant/blocks.hpp"

namespace slm {
namespace {

#if defined(__AVX512F__)

static inline __m512 broadcast_f16(const uint8_t *p) {
    return _mm512_set1_ps(_cvtsh_ss(load_u16(p)));
}

// Values of the 16 codes of one block. Each is rounded exactly as quant/blocks_plain.hpp rounds it.
static inline __m512 codes_q4_0(const uint8_t *block) {
    const __m512 q = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    return _mm512_mul_ps(q, broadcast_f16(block));
}

static inline __m512 codes_q4_1(const uint8_t *block) {
    const __m512 q = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_add_ps(_mm512_mul_ps(q, broadcast_f16(block)), broadcast_f16(block + 2));
}

typedef __m512 (*BlockCodes)(const uint8_t *block);

// 32 codes in the order of their values: low nibbles first.
static inline __m256i nibbles(const uint8_t *p) {
    const __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p)), low = _mm_set1_epi8(15);
    return _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(q, 4), low), _mm_and_si128(q, low));
}

template <BlockCodes codes, int block_bytes>
static void lookup_q4(const void *src, float *dst, int64_t n) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n; i += 32, block += block_bytes, dst += 32) {
        const __m512 table = codes(block);
        const __m256i index = nibbles(block + block_bytes - 16);
        const __m512i low = _mm512_cvtepu8_epi32(_mm256_castsi256_si128(index));
        const __m512i high = _mm512_cvtepu8_epi32(_mm256_extracti128_si256(index, 1));
        _mm512_storeu_ps(dst, _mm512_permutexvar_ps(low, table));
        _mm512_storeu_ps(dst + 16, _mm512_permutexvar_ps(high, table));
    }
}

static inline __m256i load_32(const uint8_t *p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
}

// 32 codes of a Q6_K block, less 32: run 0-3 of a half.
static inline __m256i codes_q6_k(const uint8_t *block, int half, int run) {
    const __m256i low = load_32(block + 64 * half + 32 * (run & 1)), high = load_32(block + 128 + 32 * half);
    const __m128i shift = _mm_cvtsi32_si128(run < 2 ? 0 : 4), up = _mm_cvtsi32_si128(2 * run);
    const __m256i lower = _mm256_and_si256(_mm256_srl_epi16(low, shift), _mm256_set1_epi8(15));
    const __m256i upper = _mm256_and_si256(_mm256_srl_epi16(high, up), _mm256_set1_epi8(3));
    return _mm256_sub_epi8(_mm256_or_si256(lower, _mm256_slli_epi16(upper, 4)), _mm256_set1_epi8(32));
}
// The factor of 16 codes, part 0 or 1 of a run.
static inline __m512 factor_q6_k(const uint8_t *block, int half, int run, int part) {
    const int8_t scale = static_cast<int8_t>(block[192 + 8 * half + 2 * run + part]);
    return _mm512_mul_ps(broadcast_f16(block + 208), _mm512_set1_ps(float(scale)));
}

static void unpack_q6_k(const void *src, float *dst, int64_t n) {
    const uint8_t *block = static_cast<const uint8_t *>(src);
    for (int64_t i = 0; i < n; i += 256, block += 210)
        for (int part = 0; part < 16; ++part, dst += 16) {
            const int half = part / 8, run = part / 2 % 4;
            const __m256i q = codes_q6_k(block, half, run);
            const __m128i own = part % 2 == 0 ? _mm256_castsi256_si128(q) : _mm256_extracti128_si256(q, 1);
            const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(own));
            _mm512_storeu_ps(dst, _mm512_mul_ps(values, factor_q6_k(block, half, run, part % 2)));
        }
}

#endif

// The type table with the loops above in the place of the plain ones.
static const QuantType *find_type(uint32_t id) {
#if defined(__AVX512F__)
    static const QuantType q4_0 = {2, "q4_0", 32, 18, lookup_q4<codes_q4_0, 18>};
    static const QuantType q4_1 = {3, "q4_1", 32, 20, lookup_q4<codes_q4_1, 20>};
    if (id == 2) return &q4_0;
    static const QuantType q6_k = {14, "q6_k", 256, 210, unpack_q6_k};
    if (id == 3) return &q4_1;
    if (id == 14) return &q6_k;
#endif
    for (const QuantType &type : quant_types)
        if (type.id == id) return &type;
    return nullptr;
}

}  // namespace
}  // namespace slm
