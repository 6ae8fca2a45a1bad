#!/usr/bin/env bash
# Bench over as many items as the full sets have, on a tiny model (MODEL, of arch llama, names another): memory after item 500 and size of the
# results. The available rows are repeated, each made different by a number, in the hub's own layout.
#   score-scale.sh [hellaswag|mmlu]     both by default
set -euo pipefail
source "$(dirname "$0")/watch.sh"
model=${MODEL:-$root/tests/fixtures/arch-llama/model-f32.gguf}
require "$model"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The tiny model has 512 positions; five worked examples in its small vocabulary take more, and rotary positions have no end.
lengthen='
    const fs = require("fs");
    const [from, to] = process.argv.slice(1);
    const bytes = fs.readFileSync(from);
    const key = Buffer.from("llama.context_length");
    bytes.writeUInt32LE(4096, bytes.indexOf(key) + key.length + 4);
    fs.writeFileSync(to, bytes);'
node -e "$lengthen" "$model" "$work/model.gguf"

make_rows='
    const fs = require("fs");
    const [from, to, count] = process.argv.slice(1);
    const rows = fs.readFileSync(from, "utf8").trim().split("\n").map(line => JSON.parse(line));
    const out = fs.openSync(to, "w");
    for (let i = 0; i < Number(count); i++) {
        const row = { ...rows[i % rows.length], ind: i };
        row.ctx_a = `${row.ctx_a} ${i}`;
        fs.writeSync(out, JSON.stringify(row) + "\n");
    }'
make_exam='
    const fs = require("fs");
    const [from, to, count] = process.argv.slice(1);
    const lines = fs.readFileSync(from, "utf8").trim().split("\n").filter(line => /,[ABCD]\r?$/.test(line) && line.split("\"").length % 2 === 1);
    const out = fs.openSync(to, "w");
    for (let i = 0; i < Number(count); i++) {
        const line = lines[i % lines.length];
        fs.writeSync(out, (line[0] === "\"" ? `"${i} ${line.slice(1)}` : `${i} ${line}`) + "\n");
    }'

# The kernel is asked for the resident set while the run goes on; the first reading at 500 items or more is the base.
run_task() {
    local task=$1 items=$2 out=$work/results-$1 child seen=0 base=0 peak=0 done_items=0
    local args=(bench --model "$work/model.gguf" --tasks "$task" --data-dir "$work/data" --out "$out" --threads "${THREADS:-$(nproc)}" "${@:3}")
    "$slimming" "${args[@]}" > "$work/log" 2>&1 &
    child=$!
    while kill -0 "$child" 2> /dev/null; do
        if [ "$base" -eq 0 ]; then
            done_items=$(grep -o "^$task: [0-9]*" "$work/log" | tail -n 1 | cut -d ' ' -f 2 || true)
            [ "${done_items:-0}" -ge 500 ] && base=$(awk '/^VmRSS:/ { print $2 }' "/proc/$child/status" 2> /dev/null || echo 0)
        else
            seen=$(awk '/^VmRSS:/ { print $2 }' "/proc/$child/status" 2> /dev/null || echo 0)
            [ -n "$seen" ] && [ "$seen" -gt "$peak" ] && peak=$seen
        fi
        sleep 0.2
    done
    wait "$child" || fail "bench failed: $(tail -3 "$work/log")"
    local rows size
    rows=$("$slimming" results "$out" --format jsonl | wc -l)
    size=$(du -sk "$out" | cut -f1)
    echo "$task: $rows items (expected $items), resident set $((base / 1024)) MiB after 500 items, at most $((peak / 1024)) MiB, growth $(((peak - base) / 1024)) MiB (bar 20), results $((size / 1024)) MiB (bar 100) in $(find "$out" -type f | wc -l) files"
    [ "$rows" -eq "$items" ] && [ $((peak - base)) -lt $((20 * 1024)) ] && [ "$size" -lt $((100 * 1024)) ]
}

machine_line
[ $# -gt 0 ] || set -- hellaswag mmlu
rc=0
for what; do
    case $what in
        hellaswag)
            mkdir -p "$work/data/hellaswag"
            node -e "$make_rows" "$shared/data/hellaswag/validation.jsonl" "$work/data/hellaswag/validation.jsonl" 10042
            run_task hellaswag 10042 || rc=1
            ;;
        mmlu)
            mkdir -p "$work/data/mmlu/test" "$work/data/mmlu/dev"
            cp "$shared/data/mmlu/dev/computer_security_dev.csv" "$work/data/mmlu/dev/"
            node -e "$make_exam" "$shared/data/mmlu/test/computer_security_test.csv" "$work/data/mmlu/test/computer_security_test.csv" 14042
            run_task mmlu_computer_security 14042 --shots 5 || rc=1
            ;;
        *) fail "usage: score-scale.sh [hellaswag|mmlu]" ;;
    esac
done
exit $rc
