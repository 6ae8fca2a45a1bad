/* slimming.h alone, as C11: it must compile, and C's idea of each struct's size goes to abi_test.cpp. */
#include "slimming.h"

uint64_t slm_test_c_sizeof(int id);

uint64_t slm_test_c_sizeof(int id) {
    switch (id) {
        case SLM_STRUCT_RUNTIME_PARAMS: return sizeof(slm_runtime_params);
        case SLM_STRUCT_RUNTIME_INFO: return sizeof(slm_runtime_info);
        case SLM_STRUCT_TENSOR: return sizeof(slm_tensor);
        case SLM_STRUCT_MODEL_PARAMS: return sizeof(slm_model_params);
        case SLM_STRUCT_ADAPTER_PARAMS: return sizeof(slm_adapter_params);
        case SLM_STRUCT_TRAINABLE: return sizeof(slm_trainable);
        case SLM_STRUCT_CONTEXT_PARAMS: return sizeof(slm_context_params);
        case SLM_STRUCT_PLAN: return sizeof(slm_plan);
        case SLM_STRUCT_BATCH: return sizeof(slm_batch);
        case SLM_STRUCT_STEP_PARAMS: return sizeof(slm_step_params);
        case SLM_STRUCT_STEP_RESULT: return sizeof(slm_step_result);
        case SLM_STRUCT_SELF_CHECK: return sizeof(slm_self_check);
        case SLM_STRUCT_PROFILE: return sizeof(slm_profile);
        case SLM_STRUCT_TRACE_EVENT: return sizeof(slm_trace_event);
        default: return 0;
    }
}
