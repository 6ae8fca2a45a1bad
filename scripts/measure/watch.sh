# Sourced by the measuring scripts: runs a program, then prints its wall time and its largest resident set.
# SLIMMING names another build of the program; the one of this checkout must be newer than its sources.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
shared=${SLIMMING_SHARED:-$root/../shared}
slimming=${SLIMMING:-$root/artifacts/slimming}

fail() {
    echo "$*" >&2
    exit 2
}

[ -f "$slimming" ] || fail "$slimming is missing; build it with: dotnet cake --target=Build"

# stale SOURCES BUILT...: a figure of an old build under the name of today's commit would be wrong.
stale() {
    local sources=$1 built newer
    built=$(ls -t "${@:2}" 2> /dev/null | head -n 1)
    newer=$(find "$sources" -newer "$built" -type f -name '*.[ch]*' -not -path '*/obj/*' -not -path '*/bin/*' -not -name '*.csproj' -print -quit)
    [ -z "$newer" ] || fail "$built is older than $newer; build it with: dotnet cake --target=Build"
}
if [ -z "${SLIMMING:-}" ]; then
    stale "$root/src" "$root"/artifacts/[Ss]limming*.dll
    stale "$root/native/src" "$root/artifacts/native/libslimming.so"
fi

require() {
    [ -e "$1" ] || fail "$1 is missing (SLIMMING_SHARED names the folder of reference files)"
}

# The kernel keeps the largest resident set (VmHWM) itself, so seldom looking loses nothing but growth in the last moment.
watch_run() {
    local started finished status_file peak=0 seen rc=0
    started=$(date +%s.%N)
    "$@" &
    local child=$!
    status_file=/proc/$child/status
    while [ -e "$status_file" ]; do
        seen=$(awk '/^VmHWM:/ { print $2 }' "$status_file" 2>/dev/null || true)
        [ -n "$seen" ] && peak=$seen
        grep -q '^State:.*Z' "$status_file" 2>/dev/null && break
        sleep 0.1
    done
    wait "$child" || rc=$?
    finished=$(date +%s.%N)
    [ "$rc" -eq 0 ] || fail "ended with exit code $rc: $*"
    awk -v a="$started" -v b="$finished" -v k="$peak" \
        'BEGIN { printf "wall %.1f s, peak resident set %.0f MiB\n", b - a, k / 1024 }'
}

machine_line() {
    printf '%s, %s cores, commit %s, %s\n' "$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)" "$(nproc)" \
        "$(git -C "$root" rev-parse --short HEAD)" "$(date -u +%F)"
}
