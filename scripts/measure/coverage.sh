#!/usr/bin/env bash
# Simulated pairs of runs whose true accuracies are known, 10,000 of each kind: how often 95 % intervals cover the truth, and how
# often tests reject at 0.05 where nothing differs. Prints the table of docs/measurements.md; fails where n >= 400 misses a bar.
set -euo pipefail
source "$(dirname "$0")/watch.sh"
machine_line
log=$(mktemp)
trap 'rm -f "$log"' EXIT
rc=0
dotnet test "$root/tests/Slimming.Evaluation.Tests" -c Release --filter FullyQualifiedName~CoverageTable \
    --logger 'console;verbosity=detailed' > "$log" 2>&1 || rc=$?
grep -oE '\|.*\|' "$log" || cat "$log"
exit "$rc"
