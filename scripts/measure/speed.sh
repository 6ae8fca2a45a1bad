#!/usr/bin/env bash
# Training speed: LoRA rank 16 on the 7 linears of SmolLM2-135M, 4 x 256 tokens with every position a target,
# against the peak of a register-only f32 multiply-add loop that `doctor` measures in the same minute.
#   speed.sh [STEPS]
set -euo pipefail
source "$(dirname "$0")/watch.sh"
steps=${1:-12}
model=$shared/models/SmolLM2-135M-Instruct.Q4_1.gguf
out=$root/artifacts/measure/speed
require "$model"
mkdir -p "$root/artifacts/measure"
rm -rf "$out"

# Token ids are drawn by a fixed rule; what they are changes no time.
node -e '
    const rows = [];
    for (let row = 0; row < 16; row++) {
        const ids = Array.from({ length: 256 }, (_, i) => (row * 7919 + i * 104729) % 49000 + 17);
        rows.push(JSON.stringify({ input_ids: ids, labels: ids }));
    }
    require("fs").writeFileSync(process.argv[1], rows.join("\n") + "\n");' "$root/artifacts/measure/speed.jsonl"

machine_line
"$slimming" doctor --json > "$root/artifacts/measure/doctor.json"
watch_run "$slimming" train --model "$model" --data "$root/artifacts/measure/speed.jsonl" --out "$out" \
    --rank 16 --alpha 16 --batch-size 4 --steps "$steps" --max-length 256 --learning-rate 1e-4 --checkpoint-every 0

# The first two steps touch the file's pages for the first time.
node -e '
    const fs = require("fs");
    const rows = fs.readFileSync(process.argv[1] + "/metrics.jsonl", "utf8").trim().split("\n").map(JSON.parse);
    const speeds = rows.filter(row => row.tokens_per_s).slice(2).map(row => row.tokens_per_s).sort((a, b) => a - b);
    const median = speeds[Math.floor(speeds.length / 2)];
    const doctor = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
    const peak = doctor.peak_f32_gflops;
    console.log(`tokens/s: median ${median.toFixed(0)}, from ${speeds[0].toFixed(0)} to ${speeds.at(-1).toFixed(0)}, ${speeds.length} steps`);
    if (typeof peak !== "number") {
        console.error("doctor --json has no peak_f32_gflops");
        process.exit(1);
    }
    console.log(`peak f32 ${peak.toFixed(0)} GFLOP/s; ${(median / peak).toFixed(2)} tokens/s per GFLOP/s (bar 0.3)`);' \
    "$out" "$root/artifacts/measure/doctor.json"
