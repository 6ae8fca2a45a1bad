#!/usr/bin/env bash
# Study S0: fine-tune a small model on Alpaca, score it before and after, and say what was gained and what was forgotten.
#   run.sh smollm2            the study scaled to a laptop, on the reference model and data (SLIMMING_SHARED)
#   run.sh llama-3.2-1b       MODEL=llama.gguf DATA=alpaca.json DATA_DIR=data: the study's 2,000 rows
#   run.sh tinyllama          the same variables: its 50,000 rows
# Everything goes to artifacts/study-s0/NAME (NAME=... for a second model); a stopped run goes on with the same command. LAUNCH is put
# before each command of the program (nice, taskset); THREADS is its --threads.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../measure/watch.sh"
study=${1:-}
config=$here/$study.yaml
[ -n "$study" ] && [ -f "$config" ] || fail "usage: run.sh smollm2|llama-3.2-1b|tinyllama"

# Most items of hellaswag and each MMLU subject, of gsm8k, and tokens of its answers; empty: all of them.
items=''; sums=''; tokens=''
if [ "$study" = smollm2 ]; then
    MODEL=${MODEL:-$shared/models/SmolLM2-135M-Instruct.Q4_1.gguf}
    DATA=${DATA:-$shared/data/alpaca/alpaca_1000.json}
    DATA_DIR=${DATA_DIR:-$shared/data}
    items=100; sums=24; tokens=64
fi
for name in MODEL DATA DATA_DIR; do
    [ -n "${!name:-}" ] || fail "$name is not set: the GGUF file of the base, the Alpaca file, the folder with the benchmarks' data"
    require "${!name}"
done

out=$root/artifacts/study-s0/${NAME:-$study}
cs=mmlu_college_computer_science,mmlu_high_school_computer_science
machine_line
mkdir -p "$out"

# The study left out on what the loss was: both.
for loss in all answer; do
    [ -f "$out/run-$loss/DONE" ] || ${LAUNCH:-} "$slimming" train --config "$config" --model "$MODEL" --data "$DATA" \
        --loss-on "$loss" --out "$out/run-$loss" --resume ${THREADS:+--threads $THREADS}
done

# bench NAME BOS GROUP ADAPTER OPTIONS...: nothing where that folder is finished already.
bench() {
    local folder=$out/results/$3-$2/$1 options=("${@:5}")
    compgen -G "$folder/run=*/DONE" > /dev/null && return
    [ "$2" = bos ] && options+=(--bos)
    [ -n "$4" ] && options+=(--adapter "$4")
    ${LAUNCH:-} "$slimming" bench --model "$MODEL" --data-dir "$DATA_DIR" --out "$folder" ${THREADS:+--threads $THREADS} "${options[@]}"
}

# The study's harness put no BOS before a prompt; today's does. The base before tuning is the control that it left out for TinyLlama.
for bos in plain bos; do
    for model in base all answer; do
        adapter=''
        [ "$model" = base ] || adapter=$out/run-$model/adapter.gguf
        bench "$model" "$bos" zero "$adapter" --tasks "hellaswag,$cs" ${items:+--limit $items}
        bench "$model" "$bos" five "$adapter" --tasks "$cs" --shots 5 ${items:+--limit $items}
        bench "$model" "$bos" sums "$adapter" --tasks gsm8k ${sums:+--limit $sums} ${tokens:+--max-gen-tokens $tokens}
    done
done

node "$here/table.mjs" "$slimming" "$out" > "$out/table.md"
cat "$out/table.md"
"$slimming" report "$out/run-all" "$out"/results/zero-plain/{base,all,answer} --out "$out/report.html" --force
