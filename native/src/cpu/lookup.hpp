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

#endif

// The type table with the loops above in the place of the plain ones.
static const QuantType *find_type(uint32_t id) {
#if defined(__AVX512F__)
    static const QuantType q4_0 = {2, "q4_0", 32, 18, lookup_q4<codes_q4_0, 18>};
    static const QuantType q4_1 = {3, "q4_1", 32, 20, lookup_q4<codes_q4_1, 20>};
    if (id == 2) return &q4_0;
    if (id == 3) return &q4_1;
#endif
    for (const QuantType &type : quant_types)
        if (type.id == id) return &type;
    return nullptr;
}

}  // namespace
}  // namespace slm
