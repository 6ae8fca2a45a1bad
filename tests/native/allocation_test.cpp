// Every way to memory that the library's objects use is counted, and can be made to fail (the linker wraps them): steps
// allocate nothing, and a failed allocation is a status.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "tiny_model.hpp"

namespace {

std::atomic<int64_t> n_allocations{0};
std::atomic<size_t> largest{0};
/// The allocation that fails, counted from now: 1 is the next; 0 and below: none.
std::atomic<int64_t> fail_in{0};

bool fails(size_t bytes) {
    ++n_allocations;
    for (size_t known = largest; bytes > known && !largest.compare_exchange_weak(known, bytes);) {
    }
    return fail_in.load() > 0 && fail_in.fetch_sub(1) == 1;
}

}  // namespace

extern "C" {
// The wrapped names are the linker's, which -Wpedantic cannot know.
void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
int __real_posix_memalign(void **, size_t, size_t);
void *__real__Znwm(size_t);
void *__real__Znam(size_t);
void *__real__ZnwmSt11align_val_t(size_t, std::align_val_t);
void *__wrap_malloc(size_t n) {
    return fails(n) ? nullptr : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t m) {
    return fails(n * m) ? nullptr : __real_calloc(n, m);
}
void *__wrap_realloc(void *p, size_t n) {
    return fails(n) ? nullptr : __real_realloc(p, n);
}
int __wrap_posix_memalign(void **p, size_t a, size_t n) {
    return fails(n) ? ENOMEM : __real_posix_memalign(p, a, n);
}
void *__wrap__Znwm(size_t n) {
    return fails(n) ? throw std::bad_alloc() : __real__Znwm(n);
}
void *__wrap__Znam(size_t n) {
    return fails(n) ? throw std::bad_alloc() : __real__Znam(n);
}
void *__wrap__ZnwmSt11align_val_t(size_t n, std::align_val_t a) {
    return fails(n) ? throw std::bad_alloc() : __real__ZnwmSt11align_val_t(n, a);
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

TEST(Allocation, APlanTakesNoWorkSpace) {
    const TinyModel tiny(tiny_config(), {8, true, false, 90});
    const RuntimePtr runtime = make_runtime(2);
    const ModelPtr model = tiny.create(runtime.get());
    const AdapterPtr adapter = make_adapter(model.get(), lora_params(3, 1.5f, 0.1f));
    slm_context_params params = context_params(32);
    params.max_sequence_tokens = params.logit_rows = 1 << 20;
    slm_plan plan = sized<slm_plan>();
    Text text;
    largest = 0;
    text.check(slm_context_plan(model.get(), adapter.get(), &params, &plan, text.data, sizeof text.data));
    EXPECT_LT(largest, size_t{1} << 20);
    EXPECT_GE(plan.activation_bytes + plan.logit_bytes, (uint64_t{1} << 20) * 43 * 4);
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

/// Fails the first, second, ... allocation of `create` until it succeeds: each failure must be a status with a text, an
/// object not made and, as the leak checker of the asan preset sees, nothing lost.
template <class Object, class Create>
Object *expect_out_of_memory_everywhere(const Create &create, const char *what) {
    for (int64_t k = 1; k < 10000; ++k) {
        Object *out = nullptr;
        Text text;
        fail_in = k;
        const slm_status status = create(&out, text.data, sizeof text.data);
        const bool failed = fail_in.exchange(0) <= 0;
        if (!failed) {
            EXPECT_EQ(status, SLM_STATUS_OK) << what << ": " << text.data;
            EXPECT_GT(k, 1) << what << " allocated nothing: the test tests nothing";
            return out;
        }
        EXPECT_EQ(status, SLM_STATUS_OUT_OF_MEMORY) << what << ", allocation " << k << ": " << text.data;
        EXPECT_EQ(out, nullptr) << what << ", allocation " << k;
        EXPECT_GT(std::strlen(text.data), 0u) << what << ", allocation " << k;
        if (status == SLM_STATUS_OK) return out;
    }
    ADD_FAILURE() << what << " never ran to its end";
    return nullptr;
}

TEST(Allocation, EveryFailedAllocationIsAStatus) {
    const TinyModel tiny(tiny_config(), {8, true, true, 91});
    const std::vector<slm_tensor> tensors = tiny.slm_tensors();
    const slm_model_params model_p = model_params(tiny.reference.config);
    const slm_runtime_params runtime_p{sizeof(slm_runtime_params), 2, 0};
    const RuntimePtr runtime(expect_out_of_memory_everywhere<slm_runtime>(
        [&](slm_runtime **out, char *t, size_t n) { return slm_runtime_create(&runtime_p, out, t, n); }, "runtime"));
    const ModelPtr model(expect_out_of_memory_everywhere<slm_model>(
        [&](slm_model **out, char *t, size_t n) {
            return slm_model_create(runtime.get(), &model_p, tensors.data(), int64_t(tensors.size()), out, t, n);
        },
        "model"));
    for (const slm_adapter_params &adapter_p : {lora_params(), full_params()}) {
        const AdapterPtr adapter(expect_out_of_memory_everywhere<slm_adapter>(
            [&](slm_adapter **out, char *t, size_t n) {
                return slm_adapter_create(model.get(), &adapter_p, out, t, n);
            },
            "adapter"));
        const slm_context_params context_p = context_params();
        const ContextPtr context(expect_out_of_memory_everywhere<slm_context>(
            [&](slm_context **out, char *t, size_t n) {
                return slm_context_create(model.get(), adapter.get(), &context_p, out, t, n);
            },
            "context"));
        EXPECT_TRUE(std::isfinite(sum(accumulate(context.get(), tiny_batch(43, {5})))));
    }
}

}  // namespace
