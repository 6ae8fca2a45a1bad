// Steps allocate nothing: every way to memory that the library's objects use is counted (the linker wraps them).
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tiny_model.hpp"

namespace {

std::atomic<int64_t> n_allocations{0};

}  // namespace

extern "C" {
// The wrapped names are the linker's, which -Wpedantic cannot know.
void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__real_aligned_alloc(size_t, size_t);
void *__real__Znwm(size_t);
void *__real__Znam(size_t);
void *__real__ZnwmSt11align_val_t(size_t, std::align_val_t);
void *__wrap_malloc(size_t n) {
    return ++n_allocations, __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t m) {
    return ++n_allocations, __real_calloc(n, m);
}
void *__wrap_realloc(void *p, size_t n) {
    return ++n_allocations, __real_realloc(p, n);
}
void *__wrap_aligned_alloc(size_t a, size_t n) {
    return ++n_allocations, __real_aligned_alloc(a, n);
}
void *__wrap__Znwm(size_t n) {
    return ++n_allocations, __real__Znwm(n);
}
void *__wrap__Znam(size_t n) {
    return ++n_allocations, __real__Znam(n);
}
void *__wrap__ZnwmSt11align_val_t(size_t n, std::align_val_t a) {
    return ++n_allocations, __real__ZnwmSt11align_val_t(n, a);
}
}

namespace {

using namespace slm_test;

TEST(Allocation, CounterCounts) {
    const int64_t before = n_allocations;
    std::vector<int> *v = new std::vector<int>(100);
    EXPECT_GE(n_allocations - before, 2);
    delete v;
}

TEST(Allocation, NoneInAccumulateEvaluateLogitsAndStep) {
    const TinyModel tiny(tiny_config(), {8, true, false, 90});
    const RuntimePtr runtime = make_runtime(2);
    const ModelPtr model = tiny.create(runtime.get());
    for (bool full : {false, true}) {
        const AdapterPtr adapter = make_adapter(model.get(), full ? full_params() : lora_params(3, 1.5f, 0.1f));
        const ContextPtr context = make_context(model.get(), adapter.get(), context_params(32));
        const TinyBatch short_batch = tiny_batch(43, {9, 5, 7}), long_batch = tiny_batch(43, {48});
        const int64_t rows[] = {0, 3, 8};
        std::vector<float> out(3 * 43);
        double losses[3];
        int64_t counts[3];
        slm_step_params params = sized<slm_step_params>();
        params.n_targets = 9;
        params.learning_rate = 1e-3;
        params.beta1 = 0.9;
        params.beta2 = 0.999;
        params.epsilon = 1e-8;
        params.max_grad_norm = 1;
        int64_t before = 0;
        for (params.step = 1; params.step <= 3; ++params.step) {
            if (params.step == 2) before = n_allocations;
            for (const TinyBatch *batch : {&short_batch, &long_batch}) {
                const slm_batch view = batch->view();
                ASSERT_EQ(slm_context_accumulate(context.get(), &view, losses, counts, nullptr, 0), SLM_STATUS_OK);
                ASSERT_EQ(slm_context_evaluate(context.get(), &view, losses, counts, nullptr, 0), SLM_STATUS_OK);
                ASSERT_EQ(slm_context_logits(context.get(), &view, rows, 3, out.data(), nullptr, 0), SLM_STATUS_OK);
            }
            slm_step_result result = sized<slm_step_result>();
            ASSERT_EQ(slm_context_step(context.get(), &params, &result, nullptr, 0), SLM_STATUS_OK);
        }
        EXPECT_EQ(n_allocations - before, 0) << "full " << full;
    }
}

}  // namespace
