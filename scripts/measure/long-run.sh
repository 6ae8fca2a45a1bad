#!/usr/bin/env bash
# A long training with evaluations and checkpoints on the tiny reference model, its resident set and open files looked at once a second.
#   long-run.sh [minutes]      default 45
# Prints both over ten equal parts of the run without its first minute; fails where memory grew by more than 5 %, or files at all:
# of them the fewest of a part count, as a checkpoint opens some for a moment.
set -euo pipefail
source "$(dirname "$0")/watch.sh"
minutes=${1:-45}
work=$root/artifacts/measure/long-run
rm -rf "$work"
mkdir -p "$work"

node -e '
    const [path, count, seed] = [process.argv[1], Number(process.argv[2]), Number(process.argv[3])];
    let state = seed;
    const draw = n => (state = (state * 1103515245 + 12345) % 2147483648) % n;
    const rows = Array.from({ length: count }, () => {
        const ids = Array.from({ length: 3 + draw(38) }, () => draw(312));
        return JSON.stringify({ input_ids: ids, labels: ids });
    });
    require("fs").writeFileSync(path, rows.join("\n") + "\n");' "$work/data.jsonl" 2000 1
head -n 50 "$work/data.jsonl" > "$work/eval.jsonl"

machine_line
"$slimming" train --model "$root/tests/fixtures/arch-llama/model-q4_0.gguf" --data "$work/data.jsonl" --eval-data "$work/eval.jsonl" \
    --out "$work/run" --steps 100000000 --schedule constant --eval-every 200 --checkpoint-every 50 --dropout 0.1 > "$work/out.txt" 2> "$work/log.txt" &
child=$!
trap 'kill $child 2>/dev/null || true' EXIT
started=$(date +%s)
while [ $(($(date +%s) - started)) -lt $((minutes * 60)) ] && kill -0 "$child" 2>/dev/null; do
    printf '%s %s %s\n' "$(($(date +%s) - started))" "$(awk '/^VmRSS:/ { print $2 }' "/proc/$child/status")" \
        "$(ls "/proc/$child/fd" | wc -l)" >> "$work/samples.txt"
    sleep 1
done
kill -0 "$child" 2>/dev/null || fail "the training ended by itself: $(tail -n 3 "$work/log.txt")"
# As Ctrl-C: the step at hand is finished and a checkpoint written.
kill -TERM "$child"
rc=0
wait "$child" || rc=$?
[ "$rc" -eq 130 ] || fail "expected exit code 130, found $rc: $(tail -n 3 "$work/log.txt")"

steps=$(grep -c '"loss"' "$work/run/metrics.jsonl")
echo "$minutes minutes, $steps steps, $(grep -c '"eval_loss"' "$work/run/metrics.jsonl") evaluations, $(grep -c '^checkpoint ' "$work/log.txt") checkpoints"
awk 'BEGIN { n = 0 }
    $1 >= 60 { rss[n] = $2; files[n] = $3; n++ }
    END {
        if (n < 20) { print "too few samples" > "/dev/stderr"; exit 2 }
        for (part = 0; part < 10; part++) {
            most = 0; open = 1e9
            for (i = int(n * part / 10); i < int(n * (part + 1) / 10); i++) {
                if (rss[i] > most) most = rss[i]
                if (files[i] < open) open = files[i]
            }
            printf "part %2d: resident set at most %.1f MiB, open files at least %d\n", part + 1, most / 1024, open
            if (part == 0) { first = most; fewest = open }
        }
        printf "growth: memory %.1f %%, open files %d\n", 100 * (most / first - 1), open - fewest
        exit !(most <= 1.05 * first && open <= fewest)
    }' "$work/samples.txt"
