#!/usr/bin/env bash
# What `slimming plan` says a training needs against the largest resident set of that training, over twelve shapes; fails where
# they differ by more than 10 %. Writes some 2 GB into TMPDIR. plan-vs-peak.sh [name...] runs only those shapes.
set -euo pipefail
source "$(dirname "$0")/watch.sh"
require "$shared/models/SmolLM2-135M-Instruct.Q4_1.gguf"
require "$shared/data/alpaca"
cmake -S "$root/native" --preset release -DSLM_BENCHMARKS=ON > /dev/null
cmake --build "$root/native/build/release" --parallel --target slimming_step_bench > /dev/null
machine_line
SLIMMING_ROOT=$root SLIMMING_SHARED=$shared SLIMMING=$slimming exec node "$root/scripts/measure/plan-vs-peak.js" "$@"
