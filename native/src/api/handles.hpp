// The objects behind the C interface. A child owns a share of its parent, so they can be freed in any order.
#pragma once

#include <memory>

#include "train/context.hpp"

struct slm_runtime {
    std::shared_ptr<slm::Runtime> impl;
};

struct slm_model {
    std::shared_ptr<slm::Model> impl;
};

struct slm_adapter {
    std::shared_ptr<slm::Adapter> impl;
};

struct slm_context {
    std::unique_ptr<slm::Context> impl;
};
