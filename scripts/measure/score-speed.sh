#!/usr/bin/env bash
# Speed of the scoring engine against llama.cpp's own prefill and decode, interleaved in one run, medians over rounds.
#   score-speed.sh [hellaswag|mmlu|generation|native ...]     all of them by default; native: libslimming as engine
# THREADS (all cores) and ROUNDS (3) may be set. Bars: tests/benchmarks/Slimming.ScoreBench.
set -euo pipefail
source "$(dirname "$0")/watch.sh"
model=${MODEL:-$shared/models/SmolLM2-135M-Instruct.Q4_1.gguf}
require "$model"
require "$shared/data"
project=$root/tests/benchmarks/Slimming.ScoreBench
dotnet build "$project" -c Release -v quiet > /dev/null
machine_line
[ $# -gt 0 ] || set -- hellaswag mmlu generation native
rc=0
for what; do
    "$project/bin/Release/net10.0/Slimming.ScoreBench" "$model" "$shared/data" "$what" "${THREADS:-$(nproc)}" "${ROUNDS:-3}" || rc=1
done
exit $rc
