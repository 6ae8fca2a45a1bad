#include "slimming.h"

#include <cmath>
#include <cstring>
#include <string>

#include "api/guard.hpp"
#include "api/handles.hpp"
#include "api/self_check.hpp"
#include "core/cores.hpp"

using slm::guarded;
using slm::require;
using slm::require_struct;

extern "C" {

uint32_t slm_abi_version(void) {
    return SLM_ABI_VERSION;
}

void slm_guard_mappings(void) {
    slm::guard_mappings();
}

uint64_t slm_lost_pages(void) {
    return slm::lost_pages();
}

uint64_t slm_sizeof(uint32_t id) {
    switch (id) {
        case SLM_STRUCT_RUNTIME_PARAMS:
            return sizeof(slm_runtime_params);
        case SLM_STRUCT_RUNTIME_INFO:
            return sizeof(slm_runtime_info);
        case SLM_STRUCT_TENSOR:
            return sizeof(slm_tensor);
        case SLM_STRUCT_MODEL_PARAMS:
            return sizeof(slm_model_params);
        case SLM_STRUCT_ADAPTER_PARAMS:
            return sizeof(slm_adapter_params);
        case SLM_STRUCT_TRAINABLE:
            return sizeof(slm_trainable);
        case SLM_STRUCT_CONTEXT_PARAMS:
            return sizeof(slm_context_params);
        case SLM_STRUCT_PLAN:
            return sizeof(slm_plan);
        case SLM_STRUCT_BATCH:
            return sizeof(slm_batch);
        case SLM_STRUCT_STEP_PARAMS:
            return sizeof(slm_step_params);
        case SLM_STRUCT_STEP_RESULT:
            return sizeof(slm_step_result);
        case SLM_STRUCT_SELF_CHECK:
            return sizeof(slm_self_check);
        case SLM_STRUCT_PROFILE:
            return sizeof(slm_profile);
        case SLM_STRUCT_TRACE_EVENT:
            return sizeof(slm_trace_event);
    }
    return 0;
}

slm_status slm_runtime_create(const slm_runtime_params *params, slm_runtime **out, char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require_struct(params, "params");
        require(out, "out");
        if (params->n_threads < 0 || params->n_threads > 1024)
            slm::fail(SLM_STATUS_INVALID_ARGUMENT, "n_threads is %d, expected 0 (all cores) to 1024",
                      params->n_threads);
        const int threads = params->n_threads > 0 ? params->n_threads : slm::usable_cores();
        *out = new slm_runtime{std::make_shared<slm::Runtime>(threads, slm::select_kernels())};
    });
}

void slm_runtime_free(slm_runtime *runtime) {
    delete runtime;
}

slm_status slm_runtime_get_info(const slm_runtime *runtime, slm_runtime_info *out, char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(runtime, "runtime");
        require_struct(out, "out");
        out->n_threads = runtime->impl->pool.size();
        out->isa = runtime->impl->backend.kernels().isa;
        out->cpu_features = slm::cpu_features();
        out->levels = slm::built_levels();
        out->offered = slm::offered_levels();
        slm::cpu_brand(out->cpu_name, sizeof out->cpu_name);
        std::snprintf(out->version, sizeof out->version, "%s", SLM_VERSION);
    });
}

slm_status slm_runtime_self_check(slm_runtime *runtime, int32_t index, slm_self_check *out, int32_t *n_checks,
                                  char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(runtime, "runtime");
        require_struct(out, "out");
        require(n_checks, "n_checks");
        *n_checks = slm::self_check_count();
        if (index < 0 || index >= *n_checks)
            slm::fail(SLM_STATUS_INVALID_ARGUMENT, "self-check %d does not exist, there are %d", index, *n_checks);
        runtime->impl->compute([&] { slm::run_self_check(*runtime->impl, index, *out); });
    });
}

slm_status slm_dequantize(uint32_t type, const void *data, uint64_t n_bytes, float *out, int64_t n_values, char *error,
                          size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(data, "data");
        require(out, "out");
        const slm::QuantType *quant = slm::find_quant_type(type);
        if (quant == nullptr) slm::fail(SLM_STATUS_UNSUPPORTED, "type number %u is unknown to this build", type);
        if (n_values < 0 || n_values % quant->block_values != 0 ||
            static_cast<uint64_t>(n_values / quant->block_values) * static_cast<uint64_t>(quant->block_bytes) !=
                n_bytes)
            slm::fail(SLM_STATUS_INVALID_ARGUMENT, "%lld values of %s do not lie in %llu bytes (%d values in %d bytes)",
                      static_cast<long long>(n_values), quant->name, static_cast<unsigned long long>(n_bytes),
                      quant->block_values, quant->block_bytes);
        quant->dequantize(data, out, n_values);
    });
}

slm_status slm_model_create(slm_runtime *runtime, const slm_model_params *params, const slm_tensor *tensors,
                            int64_t n_tensors, slm_model **out, char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(runtime, "runtime");
        require_struct(params, "params");
        require(tensors, "tensors");
        require(out, "out");
        *out = new slm_model{std::make_shared<slm::Model>(runtime->impl, *params, tensors, n_tensors)};
    });
}

void slm_model_free(slm_model *model) {
    delete model;
}

slm_status slm_adapter_create(slm_model *model, const slm_adapter_params *params, slm_adapter **out, char *error,
                              size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(model, "model");
        require_struct(params, "params");
        require(out, "out");
        *out = new slm_adapter{std::make_shared<slm::Adapter>(model->impl, *params)};
    });
}

void slm_adapter_free(slm_adapter *adapter) {
    delete adapter;
}

slm_status slm_adapter_get_count(const slm_adapter *adapter, int64_t *n_tensors, uint64_t *n_values, char *error,
                                 size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(adapter, "adapter");
        if (n_tensors != nullptr) *n_tensors = static_cast<int64_t>(adapter->impl->method().trainables().size());
        if (n_values != nullptr) *n_values = static_cast<uint64_t>(adapter->impl->method().n_values());
    });
}

slm_status slm_adapter_get_trainable(const slm_adapter *adapter, int64_t index, slm_trainable *out, char *error,
                                     size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(adapter, "adapter");
        require_struct(out, "out");
        const auto &all = adapter->impl->method().trainables();
        if (index < 0 || index >= static_cast<int64_t>(all.size()))
            slm::fail(SLM_STATUS_INVALID_ARGUMENT, "trainable %lld does not exist, there are %zu",
                      static_cast<long long>(index), all.size());
        const slm::TrainableTensor &tensor = all[static_cast<size_t>(index)];
        std::snprintf(out->name, sizeof out->name, "%s", tensor.name.c_str());
        out->ne[0] = tensor.columns;
        out->ne[1] = tensor.rows;
        out->n_dims = static_cast<uint32_t>(tensor.n_dims);
        out->is_norm_or_bias = tensor.norm_or_bias;
        out->offset = static_cast<uint64_t>(tensor.offset);
        out->n_values = static_cast<uint64_t>(tensor.n_values());
    });
}

slm_status slm_adapter_get_parameters(slm_adapter *adapter, float **data, uint64_t *n_values, char *error,
                                      size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(adapter, "adapter");
        require(data, "data");
        *data = adapter->impl->parameters();
        if (n_values != nullptr) *n_values = static_cast<uint64_t>(adapter->impl->method().n_values());
    });
}

slm_status slm_adapter_merge_weight(const slm_adapter *adapter, const char *name, float *out, int64_t n_values,
                                    char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(adapter, "adapter");
        require(name, "name");
        require(out, "out");
        const slm::Model &model = *adapter->impl->model();
        const int64_t index = model.find(name);
        if (index < 0) slm::fail(SLM_STATUS_INVALID_ARGUMENT, "the model has no tensor '%s'", name);
        const slm::ModelTensor &tensor = model.tensor_at(index);
        if (tensor.n_values() != n_values)
            slm::fail(SLM_STATUS_INVALID_ARGUMENT, "tensor '%s' has %lld values, room for %lld was given", name,
                      static_cast<long long>(tensor.n_values()), static_cast<long long>(n_values));
        tensor.weight.type->dequantize(tensor.weight.data, out, n_values);
        model.runtime()->compute([&] { adapter->impl->method().merge(adapter->impl->parameters(), index, out); });
    });
}

slm_status slm_context_plan(slm_model *model, slm_adapter *adapter, const slm_context_params *params, slm_plan *out,
                            char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(model, "model");
        require_struct(params, "params");
        require_struct(out, "out");
        slm::Context::plan(*model->impl, adapter ? adapter->impl.get() : nullptr, *params, *out);
    });
}

slm_status slm_context_create(slm_model *model, slm_adapter *adapter, const slm_context_params *params,
                              slm_context **out, char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(model, "model");
        require_struct(params, "params");
        require(out, "out");
        if (adapter != nullptr && adapter->impl->model() != model->impl)
            slm::fail(SLM_STATUS_INVALID_ARGUMENT, "the adapter belongs to another model");
        *out = new slm_context{std::make_unique<slm::Context>(model->impl, adapter ? adapter->impl : nullptr, *params)};
    });
}

void slm_context_free(slm_context *context) {
    delete context;
}

slm_status slm_context_get_block(slm_context *context, uint32_t block, float **data, uint64_t *n_values, char *error,
                                 size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(context, "context");
        require(data, "data");
        *data = context->impl->block(block);
        if (n_values != nullptr) *n_values = static_cast<uint64_t>(context->impl->n_values());
    });
}

slm_status slm_context_accumulate(slm_context *context, const slm_batch *batch, double *losses, int64_t *n_targets,
                                  char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(context, "context");
        require_struct(batch, "batch");
        require(losses, "losses");
        require(n_targets, "n_targets");
        context->impl->runtime().compute([&] { context->impl->accumulate(*batch, losses, n_targets); });
    });
}

slm_status slm_context_evaluate(slm_context *context, const slm_batch *batch, double *losses, int64_t *n_targets,
                                char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(context, "context");
        require_struct(batch, "batch");
        require(losses, "losses");
        require(n_targets, "n_targets");
        context->impl->runtime().compute([&] { context->impl->evaluate(*batch, losses, n_targets); });
    });
}

slm_status slm_context_logits(slm_context *context, const slm_batch *batch, const int64_t *rows, int64_t n_rows,
                              float *out, char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(context, "context");
        require_struct(batch, "batch");
        require(rows, "rows");
        require(out, "out");
        context->impl->runtime().compute([&] { context->impl->logits(*batch, rows, n_rows, out); });
    });
}

slm_status slm_context_score(slm_context *context, const slm_batch *batch, const int64_t *rows, const int32_t *targets,
                             int64_t n, double *logprobs, int32_t *tops, char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(context, "context");
        require_struct(batch, "batch");
        require(rows, "rows");
        require(targets, "targets");
        require(logprobs, "logprobs");
        require(tops, "tops");
        context->impl->runtime().compute([&] { context->impl->score(*batch, rows, targets, n, logprobs, tops); });
    });
}

slm_status slm_context_step(slm_context *context, const slm_step_params *params, slm_step_result *out, char *error,
                            size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(context, "context");
        require_struct(params, "params");
        require_struct(out, "out");
        context->impl->runtime().compute([&] { context->impl->step(*params, *out); });
    });
}

slm_status slm_context_get_profile(const slm_context *context, slm_profile *out, char *error, size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(context, "context");
        require_struct(out, "out");
        context->impl->get_profile(*out);
    });
}

slm_status slm_context_trace(slm_context *context, slm_trace_event *events, uint64_t capacity, char *error,
                             size_t error_capacity) {
    return guarded(error, error_capacity, [&] {
        require(context, "context");
        if (capacity > 0) require(events, "events");
        context->impl->trace(events, capacity);
    });
}

void slm_context_cancel(slm_context *context, int32_t on) {
    if (context != nullptr) context->impl->cancel(on != 0);
}

}  // extern "C"
