#include "cpu/tile_proof.hpp"

#include <bit>
#include <future>
#include <vector>

#include "core/random.hpp"

namespace slm {

namespace {

struct Size {
    int64_t m, n, k;
};
constexpr Size kSizes[] = {{1, 1, 2},    {16, 16, 32}, {17, 48, 30}, {33, 64, 96},
                           {47, 37, 70}, {64, 7, 34},  {18, 20, 33}};

std::vector<int32_t> small_integers(uint64_t key, int64_t n) {
    std::vector<int32_t> out;
    for (int64_t i = 0; i < n; ++i)
        out.push_back(static_cast<int32_t>(random_bits(key, static_cast<uint64_t>(i)) % 17) - 8);
    return out;
}

std::vector<uint16_t> as_bf16(const std::vector<int32_t> &values) {
    std::vector<uint16_t> out;
    for (int32_t x : values) out.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(x)) >> 16));
    return out;
}

// Columns of c beyond n hold a number that must stay; those of the operands beyond k and n are numbers that must not
// count.
bool exact_at(const Size &size, bool add, void (*gemm)(const GemmTileBf16 &)) {
    const auto [m, n, k] = size;
    const int64_t lda = k + 6 + k % 2, ldc = n + 3;
    std::vector<int32_t> left = small_integers(1, m * lda);
    for (int64_t i = 0; i < m && k % 2 != 0; ++i) left[static_cast<size_t>(i * lda + k)] = 0;
    const std::vector<int32_t> right = small_integers(2, (k + 2) * kPanel), before = small_integers(3, m * ldc);
    const std::vector<uint16_t> a = as_bf16(left), b = as_bf16(right);
    std::vector<float> c(before.begin(), before.end());
    gemm({m, n, k, a.data(), lda, b.data(), c.data(), ldc, add});
    for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < ldc; ++j) {
            const size_t at = static_cast<size_t>(i * ldc + j);
            int32_t want = j >= n || add ? before[at] : 0;
            for (int64_t x = 0; j < n && x < k; ++x)
                want += left[static_cast<size_t>(i * lda + x)] *
                        right[static_cast<size_t>((x / 2 * kPanel + j) * 2 + x % 2)];
            if (!(c[at] == static_cast<float>(want))) return false;
        }
    return true;
}

}  // namespace

bool multiplies_exactly(void (*gemm)(const GemmTileBf16 &)) {
    return std::async(std::launch::async,
                      [gemm] {
                          for (const Size &size : kSizes)
                              for (bool add : {false, true})
                                  if (!exact_at(size, add, gemm)) return false;
                          return true;
                      })
        .get();
}

}  // namespace slm
