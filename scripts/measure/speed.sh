#!/usr/bin/env bash
# Training speed: LoRA rank 16 on the 7 linears of SmolLM2-135M's shape, 4 x 256 tokens with every position a target, against the
# peak of a register-only loop of f32 multiply-adds measured in the same run.
#   speed.sh [options of tests/benchmarks/step_bench.cpp]
set -euo pipefail
source "$(dirname "$0")/watch.sh"
cd "$root/native"
cmake --preset release -DSLM_BENCHMARKS=ON > /dev/null
cmake --build --preset release --parallel --target slimming_step_bench > /dev/null
machine_line
build/release/slimming_step_bench "$@"
