// Weights straight into panels of bf16 pairs: 32 values at a time are unpacked and rounded in registers, with the bits
// of dequantize followed by rounding. A block of 4- or 5-bit codes has few possible values: they are computed once, as
// the plain loops compute them, and looked up.
#pragma once

#include "cpu/bf16_kernel.hpp"
#include "cpu/lookup.hpp"

namespace slm {
namespace {

#if defined(__AVX512BF16__)

static inline __m512i round_32(__m512 low, __m512 high) {
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}
// table[code] for 32 codes below 16
static inline __m512i look_up_16(__m512 table, __m256i codes) {
    const __m512i rounded = _mm512_castsi256_si512((__m256i)_mm512_cvtneps_pbh(table));
    return _mm512_permutexvar_epi16(_mm512_cvtepu8_epi16(codes), rounded);
}
// The same with a fifth bit from `high`.
static inline __m512i look_up_32(__m512 low, __m512 upper, __m256i codes, __mmask32 high) {
    const __m512i index = _mm512_cvtepu8_epi16(codes);
    return _mm512_permutexvar_epi16(_mm512_mask_add_epi16(index, high, index, _mm512_set1_epi16(16)),
                                    round_32(low, upper));
}
static inline __m512 count_from(float first) {
    return _mm512_add_ps(_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_ps(first));
}
static inline __m512 line(__m512 q, __m512 factor, __m512 offset) {
    return _mm512_add_ps(_mm512_mul_ps(q, factor), offset);
}

// A type's 32 values number `group` of a row.
struct UnpackF32 {
    static constexpr int bytes = 128;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const float *p = reinterpret_cast<const float *>(row) + 32 * group;
        return round_32(_mm512_loadu_ps(p), _mm512_loadu_ps(p + 16));
    }
};
struct UnpackF16 {
    static constexpr int bytes = 64;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const uint8_t *p = row + 64 * group;
        return round_32(_mm512_cvtph_ps(load_32(p)), _mm512_cvtph_ps(load_32(p + 32)));
    }
};
struct UnpackBf16 {
    static constexpr int bytes = 64;
    static inline __m512i take(const uint8_t *row, int64_t group) { return _mm512_loadu_si512(row + 64 * group); }
};
struct UnpackQ4_0 {
    static constexpr int bytes = 18;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const uint8_t *block = row + bytes * group;
        return look_up_16(codes_q4_0(block), nibbles(block + 2));
    }
};
struct UnpackQ4_1 {
    static constexpr int bytes = 20;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const uint8_t *block = row + bytes * group;
        return look_up_16(codes_q4_1(block), nibbles(block + 4));
    }
};
struct UnpackIq4Nl {
    static constexpr int bytes = 18;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const uint8_t *block = row + bytes * group;
        const __m512 values =
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(iq4_values))));
        return look_up_16(_mm512_mul_ps(broadcast_f16(block), values), nibbles(block + 2));
    }
};
struct UnpackQ5_0 {
    static constexpr int bytes = 22;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const uint8_t *block = row + bytes * group;
        const __m512 d = broadcast_f16(block);
        return look_up_32(_mm512_mul_ps(count_from(-16), d), _mm512_mul_ps(count_from(0), d), nibbles(block + 6),
                          load_u32(block + 2));
    }
};
struct UnpackQ5_1 {
    static constexpr int bytes = 24;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const uint8_t *block = row + bytes * group;
        const __m512 d = broadcast_f16(block), m = broadcast_f16(block + 2);
        return look_up_32(line(count_from(0), d, m), line(count_from(16), d, m), nibbles(block + 8),
                          load_u32(block + 4));
    }
};
// 32 signed bytes with a factor for each half.
static inline __m512i scaled_bytes(__m256i q, __m512 first, __m512 second) {
    const __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_castsi256_si128(q)));
    const __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_extracti128_si256(q, 1)));
    return round_32(_mm512_mul_ps(low, first), _mm512_mul_ps(high, second));
}
struct UnpackQ8_0 {
    static constexpr int bytes = 34;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const uint8_t *block = row + bytes * group;
        const __m512 d = broadcast_f16(block);
        return scaled_bytes(load_32(block + 2), d, d);
    }
};
// Codes of run `sub` (0-7) in 128 bytes of nibbles: 32 bytes hold runs 2i (low) and 2i + 1 (high).
static inline __m256i run_of_nibbles(const uint8_t *q, int64_t sub) {
    const __m256i both = load_32(q + 32 * (sub / 2));
    return _mm256_and_si256(sub % 2 == 0 ? both : _mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
}
// Scale and minimum of run `sub` of a Q4_K or Q5_K block, and the values of 16 codes in order.
struct RunScale {
    __m512 d, m;
    inline RunScale(const uint8_t *block, int sub) {
        const ScaleMin s = scale_min_k4(block + 4, sub);
        d = _mm512_mul_ps(broadcast_f16(block), _mm512_set1_ps(float(s.scale)));
        m = _mm512_mul_ps(broadcast_f16(block + 2), _mm512_set1_ps(float(s.min)));
    }
    inline __m512 values_from(float code) const { return _mm512_sub_ps(_mm512_mul_ps(count_from(code), d), m); }
};
struct UnpackQ4K {
    static constexpr int bytes = 18;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const uint8_t *block = row + 144 * (group / 8);
        const int sub = static_cast<int>(group % 8);
        const RunScale run(block, sub);
        return look_up_16(run.values_from(0), run_of_nibbles(block + 16, sub));
    }
};
struct UnpackQ5K {
    static constexpr int bytes = 22;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const uint8_t *block = row + 176 * (group / 8);
        const int sub = static_cast<int>(group % 8);
        const RunScale run(block, sub);
        const __mmask32 high = _mm256_test_epi8_mask(load_32(block + 16), _mm256_set1_epi8(char(1 << sub)));
        return look_up_32(run.values_from(0), run.values_from(16), run_of_nibbles(block + 48, sub), high);
    }
};
struct UnpackQ6K {
    static constexpr int bytes = 26;
    static inline __m512i take(const uint8_t *row, int64_t group) {
        const uint8_t *block = row + 210 * (group / 8);
        const int half = static_cast<int>(group % 8 / 4), run = static_cast<int>(group % 4);
        return scaled_bytes(codes_q6_k(block, half, run), factor_q6_k(block, half, run, 0),
                            factor_q6_k(block, half, run, 1));
    }
};

static inline void prefetch(const uint8_t *from, int64_t n) {
    for (int64_t i = 0; i < n; i += 64) _mm_prefetch(reinterpret_cast<const char *>(from + i), _MM_HINT_T0);
}

template <class Unpack>
static void pack_rows(const uint8_t *w, int64_t row_bytes, int64_t n_rows, int64_t k0, int64_t k1, uint16_t *panel) {
    for (int64_t j = 0; j < n_rows; j += 16) {
        const int64_t count = n_rows - j < 16 ? n_rows - j : 16;
        const uint8_t *rows = w + j * row_bytes;
        for (int64_t k = k0; k < k1; k += 32) {
            // The rows of the next round lie behind these; they are fetched in the same time.
            prefetch(rows + 16 * row_bytes + (k - k0) / 32 * (16 * Unpack::bytes), 16 * Unpack::bytes);
            __m512 r[16];
            if (count == 16) {
                for (int i = 0; i < 16; ++i) r[i] = (__m512)Unpack::take(rows + i * row_bytes, k / 32);
            } else {
                for (int i = 0; i < 16; ++i)
                    r[i] = i < count ? (__m512)Unpack::take(rows + i * row_bytes, k / 32) : _mm512_setzero_ps();
            }
            transpose_16x16(r);
            for (int i = 0; i < 16; ++i) _mm512_storeu_ps(panel + (((k - k0) / 2 + i) * kPanel + j) * 2, r[i]);
        }
    }
}

template <class Unpack>
static void pack_columns(const uint8_t *w, int64_t row_bytes, int64_t n_rows, int64_t column, int64_t n_columns,
                         uint16_t *panel) {
    const __m512i zero = _mm512_setzero_si512();
    for (int64_t k = 0; k < n_rows; k += 2, w += 2 * row_bytes, panel += 2 * kPanel)
        for (int64_t j = 0; j < n_columns; j += 32) {
            const int64_t group = (column + j) / 32;
            prefetch(w + 16 * row_bytes + group * Unpack::bytes, 1);
            prefetch(w + 17 * row_bytes + group * Unpack::bytes, 1);
            const __m512i a = Unpack::take(w, group), b = k + 1 < n_rows ? Unpack::take(w + row_bytes, group) : zero;
            interleave_32(a, b, panel + 2 * j);
        }
}

struct PackLoops {
    uint32_t type;
    PackRows rows;
    PackColumns columns;
};
#define SLM_PACK(id, name) \
    { id, pack_rows<name>, pack_columns<name> }
static constexpr PackLoops pack_loops[] = {
    SLM_PACK(0, UnpackF32),  SLM_PACK(1, UnpackF16),  SLM_PACK(2, UnpackQ4_0),   SLM_PACK(3, UnpackQ4_1),
    SLM_PACK(6, UnpackQ5_0), SLM_PACK(7, UnpackQ5_1), SLM_PACK(8, UnpackQ8_0),   SLM_PACK(12, UnpackQ4K),
    SLM_PACK(13, UnpackQ5K), SLM_PACK(14, UnpackQ6K), SLM_PACK(20, UnpackIq4Nl), SLM_PACK(30, UnpackBf16),
};
#undef SLM_PACK

static PackRows find_pack_rows(uint32_t type) {
    for (const PackLoops &loops : pack_loops)
        if (loops.type == type) return loops.rows;
    return nullptr;
}
static PackColumns find_pack_columns(uint32_t type) {
    for (const PackLoops &loops : pack_loops)
        if (loops.type == type) return loops.columns;
    return nullptr;
}

#else

static PackRows find_pack_rows(uint32_t) {
    return nullptr;
}
static PackColumns find_pack_columns(uint32_t) {
    return nullptr;
}

#endif

}  // namespace
}  // namespace slm
