// The reference decoder against transformers' f64 numbers, so that what the library is measured against is itself
// measured. Every architecture folder, every file kind.
#include "reference_decoder.hpp"

#include <gtest/gtest.h>

#include "arch_case.hpp"

namespace {

using namespace slm_test;

class ReferenceDecoderFixture : public testing::TestWithParam<const char *> {};

TEST_P(ReferenceDecoderFixture, LogitsAndLoss) {
    const std::string name = GetParam();
    if (!std::filesystem::exists(arch_folder(name))) GTEST_SKIP() << "no " << arch_folder(name).string();
    for (const char *kind : {"f32", "q8_0", "q4_0"}) {
        const ArchCase c = load_arch_case(name, kind);
        const std::vector<double> got = c.decoder.logits(c.batch), want = arch_logits(c, kind);
        ASSERT_EQ(got.size(), want.size());
        double worst = 0;
        for (size_t i = 0; i < got.size(); ++i) {
            const double error = std::fabs(got[i] - want[i]);
            if (!(error <= worst)) worst = error;
        }
        // Both are f64; the file's logits were rounded to f32 (5e-7 at 8). The f32 epsilon and bases in the file and
        // f32 sqrt(n_embd) explain the rest.
        EXPECT_FALSE(!(worst <= 2e-6)) << name << " " << kind << ": " << worst;
        EXPECT_NEAR(c.decoder.loss(c.batch) / double(c.n_targets), c.loss, 1e-7) << name << " " << kind;
    }
}

INSTANTIATE_TEST_SUITE_P(Arch, ReferenceDecoderFixture,
                         testing::Values("llama", "llama3", "mistral", "gemma", "gemma2", "gemma3", "gemma3-linear",
                                         "qwen2", "qwen3"));

}  // namespace
