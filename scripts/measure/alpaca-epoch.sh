#!/usr/bin/env bash
# One LoRA epoch over 876 Alpaca rows on SmolLM2-135M, as fixtures/peft/alpaca_epoch was made with PEFT.
#   alpaca-epoch.sh         the reference's own token ids
#   alpaca-epoch.sh raw     the same rows from alpaca_1000.json through --template alpaca
#   alpaca-epoch.sh ids bf16    another compute mode than f32
set -euo pipefail
source "$(dirname "$0")/watch.sh"
form=${1:-ids}
compute=${2:-f32}
reference=$shared/fixtures/peft/alpaca_epoch
model=$shared/models/SmolLM2-135M-Instruct.Q4_1.gguf
out=$root/artifacts/measure/alpaca-epoch-$form-$compute
require "$reference/train.jsonl"
require "$model"
mkdir -p "$root/artifacts/measure"
rm -rf "$out"

train=$reference/train.jsonl
eval_data=$reference/eval.jsonl
extra=()
case $form in
    ids) ;;
    raw)
        require "$shared/data/alpaca/alpaca_1000.json"
        train=$root/artifacts/measure/alpaca-train.json
        eval_data=$root/artifacts/measure/alpaca-eval.json
        pick='
            const fs = require("fs");
            const [rowsPath, rawPath, outPath] = process.argv.slice(1);
            const raw = JSON.parse(fs.readFileSync(rawPath, "utf8"));
            const rows = fs.readFileSync(rowsPath, "utf8").trim().split("\n").map(line => raw[JSON.parse(line).row]);
            fs.writeFileSync(outPath, JSON.stringify(rows));'
        node -e "$pick" "$reference/train.jsonl" "$shared/data/alpaca/alpaca_1000.json" "$train"
        node -e "$pick" "$reference/eval.jsonl" "$shared/data/alpaca/alpaca_1000.json" "$eval_data"
        extra=(--template alpaca)
        ;;
    *) fail "usage: alpaca-epoch.sh [ids|raw] [f32|bf16|int8]" ;;
esac

machine_line
watch_run "$slimming" train --model "$model" --data "$train" --eval-data "$eval_data" --out "$out" \
    --rank 16 --alpha 16 --batch-size 8 --epochs 1 --no-shuffle --learning-rate 2e-4 --warmup-steps 5 \
    --checkpoint-every 0 --compute "$compute" "${extra[@]}"

node -e '
    const fs = require("fs");
    const rows = fs.readFileSync(process.argv[1] + "/metrics.jsonl", "utf8").trim().split("\n").map(JSON.parse);
    const evals = rows.filter(row => row.eval_loss !== undefined && row.eval_loss !== null);
    const steps = rows.filter(row => row.loss !== undefined && row.loss !== null);
    const reference = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
    const tokens = steps.reduce((sum, row) => sum + row.tokens, 0);
    const seconds = steps.reduce((sum, row) => sum + row.seconds, 0);
    const show = value => Number(value).toFixed(4);
    console.log(`steps ${steps.length}, first step loss ${show(steps[0].loss)}, ${Math.round(tokens / seconds)} tokens/s`);
    console.log(`eval loss ${show(evals[0].eval_loss)} before, ${show(evals.at(-1).eval_loss)} after`);
    console.log(`PEFT:     ${show(reference.eval_before)} before, ${show(reference.eval_after)} after`);
    const difference = Math.abs(evals.at(-1).eval_loss - reference.eval_after);
    console.log(`difference after: ${difference.toFixed(4)} (bar 0.02)`);
    process.exit(difference <= 0.02 ? 0 : 1);' "$out" "$reference/case.json"
