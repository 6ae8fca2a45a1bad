#!/usr/bin/env bash
# Time from the start of the program to the end of step 1, and the largest resident set, for 10,000, 100,000 and
# 1,000,000 Alpaca-like rows (about 0.6 GB) on the embedded model. Needs some 2 GB in the temporary folder.
#   million-rows.sh                 JSONL, 20 and 300 steps; with a condition, a draw, a held-out share, a mix
#   million-rows.sh json|csv|parquet   20 steps of another kind of file
# Ends with 1 where a first step of 1,000,000 rows takes longer than 10 s, or needs 32 MiB more than that of 100,000.
set -euo pipefail
source "$(dirname "$0")/watch.sh"
kind=${1:-jsonl}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
model=$root/scripts/demo/model.gguf
late=0

write_rows() {
    node -e '
        const fs = require("fs");
        const [path, count, kind] = process.argv.slice(1);
        const words = ("the of and to in is you that it for was on are as with his they at be this have from or one had by word but not what all "
            + "were we when your can said there use an each which she do how their if will up other about out many then them these so some her "
            + "would make like him into time has look two more write go see number no way could people my than first water been call who").split(" ");
        let state = 123456789;
        const draw = n => { state ^= state << 13; state ^= state >>> 17; state ^= state << 5; return (state >>> 0) % n; };
        const text = n => Array.from({ length: n }, () => words[draw(words.length)]).join(" ");
        const file = fs.openSync(path, "w");
        const quote = value => "\"" + String(value).replaceAll("\"", "\"\"") + "\"";
        const lead = { json: "[", csv: "instruction,input,output,score\n" }[kind] ?? "";
        fs.writeSync(file, lead);
        for (let from = 0; from < +count; from += 5000) {
            let lines = "";
            for (let i = from; i < Math.min(+count, from + 5000); i++) {
                const row = { instruction: `Task ${i}: ${text(8 + draw(10))}`, input: draw(3) ? "" : text(5 + draw(20)),
                    output: text(40 + draw(120)), score: draw(100) };
                lines += kind === "csv" ? Object.values(row).map(quote).join(",") + "\n"
                    : kind === "json" ? (i ? ",\n" : "") + JSON.stringify(row)
                    : JSON.stringify(row) + "\n";
            }
            fs.writeSync(file, lines);
        }
        if (kind === "json") fs.writeSync(file, "]\n");
        if (kind === "parquet") {
            const duckdb = require(process.argv[4]);
            (async () => {
                const database = await duckdb.open(":memory:");
                const connection = await duckdb.connect(database);
                await duckdb.query(connection, `COPY (FROM read_json("${path}")) TO "${path}.parquet" (FORMAT parquet)`.replaceAll("\"", "\u0027"));
                fs.renameSync(path + ".parquet", path);
            })();
        }' "$1" "$2" "$kind" "$root/native/runtimes/node_modules/@duckdb/node-bindings-linux-x64/duckdb.node"
}

stamp_first_step() {
    local line
    while IFS= read -r line; do
        case $line in
            "step 1/"*) date +%s.%N >"$folder/first" ;;
            data:* | error:*) echo "  $line" ;;
        esac
    done
}

logged() {
    exec "$slimming" "$@" 2> >(stamp_first_step) >"$folder/output"
}

measure() {
    local what=$1 started answer
    shift
    rm -rf "$folder/run" "$folder/first"
    started=$(date +%s.%N)
    answer=$(watch_run logged train --model "$model" --template alpaca --out "$folder/run" --checkpoint-every 0 \
        --max-length 512 "$@") || fail "$answer"
    # The reader of the messages may end a moment later.
    while [ ! -s "$folder/first" ]; do sleep 0.1; done
    first=$(awk -v a="$started" -v b="$(cat "$folder/first")" 'BEGIN { printf "%.1f", b - a }')
    peak=$(sed -n 's/.*set \([0-9]*\) MiB.*/\1/p' <<<"$answer")
    sed '$d' <<<"$answer"
    echo "$what: first step after $first s, $(tail -n 1 <<<"$answer")"
}

must_be_quick() {
    if awk -v s="$first" 'BEGIN { exit !(s > 10) }'; then
        late=1
    fi
}

machine_line
for count in 10000 100000 1000000; do
    write_rows "$folder/$count.$kind" "$count"
    measure "$count rows, $kind, 20 steps" --data "$folder/$count.$kind" --steps 20
    [ "$count" = 100000 ] && before=$peak
done
must_be_quick
[ "$peak" -le $((before + 32)) ] || late=1

if [ "$kind" = jsonl ]; then
    rows=$folder/1000000.jsonl
    measure "1000000 rows, 300 steps" --data "$rows" --steps 300
    [ "$peak" -le $((before + 32)) ] || late=1
    measure "1000000 rows, --where" --data "$rows" --steps 20 --where "score < 50"
    must_be_quick
    measure "1000000 rows, --sample 200000 --eval-fraction 0.0005" --data "$rows" --steps 20 --sample 200000 --eval-fraction 0.0005
    must_be_quick
    measure "1100000 rows, mixed 0.8 to 0.2" --data "$rows:0.8" "$folder/100000.jsonl:0.2" --steps 20
    must_be_quick
fi
exit "$late"
