// The product on AMX tiles: the model of the instructions, the proof that a machine with AMX is asked for, and the
// machine code itself, run where the processor has AVX512_BF16: by its own tiles or by the model behind a trap.
#include <gtest/gtest.h>

#include <optional>

#include "api/self_check.hpp"
#include "backend_tools.hpp"
#include "core/error.hpp"
#include "cpu/tile_proof.hpp"
#include "tile_trap.hpp"
#if defined(__x86_64__)
#include "cpu/x86/tiles.hpp"
#endif

namespace {

using namespace slm_test;

/// Eight tiles of one shape each, as LDTILECFG reads it.
struct Config {
    Config(std::initializer_list<std::pair<int, int>> shapes) {
        int t = 0;
        for (const auto &[rows, row_bytes] : shapes) {
            bytes[16 + 2 * t] = uint8_t(row_bytes);
            bytes[48 + t++] = uint8_t(rows);
        }
    }
    uint8_t bytes[64] = {1};
};

/// sum[16][16] after one multiplication of left[16][32] and right[16][16][2] onto sum.
std::vector<float> multiplied(const std::vector<uint16_t> &left, const std::vector<uint16_t> &right,
                              std::vector<float> sum) {
    TileModel model;
    EXPECT_TRUE(model.load_config(Config({{16, 64}, {16, 64}, {16, 64}}).bytes));
    EXPECT_TRUE(model.load(0, sum.data(), 64) && model.load(1, left.data(), 64) && model.load(2, right.data(), 64));
    EXPECT_TRUE(model.multiply(0, 1, 2) && model.store(0, sum.data(), 64));
    return sum;
}

TEST(Tiles, AMultiplicationEqualsTheDirectLoop) {
    Random random(501);
    const Rounded a(random.floats(16 * 32).data(), 16, 32), b(random.floats(16 * 32).data(), 16, 32);
    const std::vector<float> c = random.floats(16 * 16);
    const std::vector<float> got = multiplied(a.values, b.values, c);
    for (size_t m = 0; m < 16; ++m) {
        for (size_t n = 0; n < 16; ++n) {
            double want = double(c[m * 16 + n]), size = std::fabs(want);
            for (size_t k = 0; k < 32; ++k) {
                const double product =
                    Rounded::value(a.values[m * 32 + k]) * Rounded::value(b.values[k / 2 * 32 + 2 * n + k % 2]);
                want += product;
                size += std::fabs(product);
            }
            EXPECT_FALSE(!(std::fabs(double(got[m * 16 + n]) - want) <= 1e-6 * size)) << m << ", " << n;
        }
    }
}

/// What rounds and what counts as zero, one case for each row of the left tile against one column of ones.
TEST(Tiles, RoundingAndSmallNumbersAreTheManuals) {
    const float tiny = 0x1p-130f;  // subnormal in f32 and bf16
    std::vector<float> left(16 * 32, 0.0f), sum(16 * 16, 0.0f);
    const auto row = [&](size_t m, std::initializer_list<float> values, float start) {
        std::copy(values.begin(), values.end(), left.begin() + std::ptrdiff_t(m * 32));
        sum[m * 16] = start;
    };
    row(0, {0x1p24f, 1, 1, 1}, 0);         // evens stay 2^24 (a tie to even), odds are 2
    row(1, {tiny, 0, tiny, 0}, 0);         // operands below the normal numbers
    row(2, {0}, tiny);                     // so is the sum that was there
    row(3, {0x1.8p-126f, -0x1p-126f}, 0);  // a result below
    row(4, {INFINITY}, 0);
    row(5, {NAN}, 0);
    row(6, {1, 0, 0, 1}, 0x1p25f);  // parts are added before they meet the sum: 2^25 + 2 is half way, to even
    row(7, {3, 0, 0, 3}, 0x1p25f);  // 2^25 + 6: to 2^25 + 8
    row(8, {0x1p-126f, 0, -0x1p-126f}, 0x1p-126f);
    std::vector<uint16_t> ones(16 * 32, 0);
    for (size_t k = 0; k < 16; ++k) ones[k * 32] = ones[k * 32 + 1] = Rounded::round(1.0f);
    std::vector<uint16_t> halves(left.size());
    for (size_t i = 0; i < left.size(); ++i) halves[i] = std::isnan(left[i]) ? 0x7FC0 : Rounded::round(left[i]);
    const std::vector<float> got = multiplied(halves, ones, sum);
    EXPECT_EQ(got[0 * 16], 0x1p24f + 2);
    EXPECT_EQ(got[1 * 16], 0.0f);
    EXPECT_EQ(got[2 * 16], 0.0f);
    EXPECT_EQ(got[3 * 16], 0.0f);
    EXPECT_EQ(got[4 * 16], INFINITY);
    EXPECT_TRUE(std::isnan(got[5 * 16]));
    EXPECT_EQ(got[6 * 16], 0x1p25f);
    EXPECT_EQ(got[7 * 16], 0x1p25f + 8);
    EXPECT_EQ(got[8 * 16], 0x1p-126f);
}

TEST(Tiles, TheModelRefusesWhatTheProcessorRefuses) {
    TileModel model;
    EXPECT_FALSE(model.clear(0)) << "no configuration yet";
    Config odd({{16, 64}});
    odd.bytes[40] = 1;
    EXPECT_FALSE(model.load_config(odd.bytes)) << "a reserved byte";
    EXPECT_FALSE(model.load_config(Config({{17, 64}}).bytes));
    ASSERT_TRUE(model.load_config(Config({{5, 12}, {5, 28}, {7, 12}, {8, 12}}).bytes));
    EXPECT_TRUE(model.multiply(0, 1, 2));
    EXPECT_FALSE(model.multiply(0, 1, 3)) << "k differs";
    EXPECT_FALSE(model.multiply(0, 1, 1)) << "one tile twice";
    EXPECT_FALSE(model.clear(4)) << "a tile without a shape";
    EXPECT_TRUE(model.release());
    EXPECT_FALSE(model.clear(0));
}

template <int Wrong>
void wrong_product(const slm::GemmTileBf16 &t) {
    slm::GemmTileBf16 other = t;
    if (Wrong == 0) other.k = t.k / 32 * 32;  // no last part of k
    if (Wrong == 1) other.m = t.m / 16 * 16;  // no last rows
    if (Wrong == 2) other.add = false;
    if (Wrong == 3) other.n = t.n + 1;  // one column too many
    slm::gemm_bf16_tiles<EmulatedTiles>(other);
    if (Wrong == 4) t.c[0] = NAN;
}

TEST(Tiles, TheProofPassesWhatIsRightAndNothingElse) {
    EXPECT_TRUE(slm::multiplies_exactly(slm::gemm_bf16_tiles<EmulatedTiles>));
    for (const slm::Kernels *kernels : available_kernels())
        EXPECT_TRUE(slm::multiplies_exactly(kernels->gemm_bf16)) << kernels->name;
    EXPECT_FALSE(slm::multiplies_exactly(wrong_product<0>));
    EXPECT_FALSE(slm::multiplies_exactly(wrong_product<1>));
    EXPECT_FALSE(slm::multiplies_exactly(wrong_product<2>));
    EXPECT_FALSE(slm::multiplies_exactly(wrong_product<3>));
    EXPECT_FALSE(slm::multiplies_exactly(wrong_product<4>));
}

#if defined(__x86_64__) && defined(__linux__)

/// Sapphire Rapids' numbers, and each of them too small.
TEST(Tiles, OnlyWholeTilesAreTaken) {
    const slm::CpuidLeaf palette{0x04002000, 0x00080040, 0x10, 0}, product{0, 0x4010, 0, 0};
    EXPECT_TRUE(slm::holds_whole_tiles(palette, product));
    EXPECT_FALSE(slm::holds_whole_tiles({}, {}));
    EXPECT_FALSE(slm::holds_whole_tiles({0x02001000, 0x00080040, 0x10, 0}, product));
    EXPECT_FALSE(slm::holds_whole_tiles({0x04001000, 0x00040040, 0x10, 0}, product));
    EXPECT_FALSE(slm::holds_whole_tiles({0x04002000, 0x00080020, 0x10, 0}, product));
    EXPECT_FALSE(slm::holds_whole_tiles({0x04002000, 0x00080040, 0x08, 0}, product));
    EXPECT_FALSE(slm::holds_whole_tiles(palette, {0, 0x4008, 0, 0}));
    EXPECT_FALSE(slm::holds_whole_tiles(palette, {0, 0x2010, 0, 0}));
}

/// The level's machine code, whether or not the processor has tiles.
class TileCode : public testing::Test {
 protected:
    void SetUp() override {
        if (!slm::cpu_offers(SLM_ISA_AVX512_BF16)) GTEST_SKIP() << "the level's other code needs AVX512_BF16";
        native_ = slm::cpu_offers(SLM_ISA_AMX_BF16);
        if (!native_) trap_.emplace();
    }
    bool native_ = false;
    std::optional<TileTrap> trap_;
};

TEST_F(TileCode, EqualsTheModelBitForBitAtEverySize) {
    const slm::Kernels &kernels = slm::kernels_of(SLM_ISA_AMX_BF16);
    Random random(502);
    for (int64_t m : {1, 15, 16, 17, 33, 48}) {
        for (int64_t n : {1, 16, 31, 48, 64}) {
            for (int64_t k : {2, 30, 32, 62, 130}) {
                const int64_t lda = k + 4, ldc = n + 5;
                std::vector<uint16_t> a, b;
                for (float x : random.floats(m * lda)) a.push_back(Rounded::round(x));
                for (float x : random.floats(k * slm::kPanel)) b.push_back(Rounded::round(x));
                const std::vector<float> start = random.floats(m * ldc);
                for (bool add : {false, true}) {
                    Guarded got(start), want(start);
                    kernels.gemm_bf16({m, n, k, a.data(), lda, b.data(), got.data(), ldc, add});
                    slm::gemm_bf16_tiles<EmulatedTiles>({m, n, k, a.data(), lda, b.data(), want.data(), ldc, add});
                    ASSERT_TRUE(got.intact() && want.intact());
                    ASSERT_TRUE(bit_equal(got.values(), want.values())) << m << " x " << n << " over " << k;
                }
            }
        }
    }
    EXPECT_TRUE(native_ || trapped_tiles.executed > 0);
    EXPECT_FALSE(trapped_tiles.configured) << "tiles are released where a product ends";
}

TEST_F(TileCode, IsProven) {
    EXPECT_TRUE(slm::multiplies_exactly(slm::kernels_of(SLM_ISA_AMX_BF16).gemm_bf16));
}

/// The thread that calls never has tiles: its signal frames stay as they are.
TEST_F(TileCode, RunsOnThreadsOfTheLibraryOnly) {
    slm::Runtime runtime(3, slm::kernels_of(SLM_ISA_AMX_BF16));
    const int64_t before = trapped_tiles.executed;
    std::atomic<int64_t> elsewhere{0};
    for (int32_t i = 0; i < slm::self_check_count(); ++i) {
        slm_self_check check = {};
        runtime.compute([&] {
            const int64_t start = trapped_tiles.executed;
            slm::run_self_check(runtime, i, check);
            elsewhere += trapped_tiles.executed - start;
        });
        EXPECT_EQ(check.passed, 1u) << check.name << ": " << check.difference;
    }
    EXPECT_EQ(trapped_tiles.executed, before);
    EXPECT_TRUE(native_ || elsewhere > 0);
    EXPECT_THROW(runtime.compute([] { slm::fail(SLM_STATUS_CANCELLED, "from the other thread"); }), slm::Error);
}

#endif

}  // namespace
