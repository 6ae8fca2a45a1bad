#!/usr/bin/env bash
# Screenshots of a report in headless Chromium at 400, 1,000 and 1,600 px, light and dark, and as it prints; fails where the console has
# an error, the page asks the network, or text is cut or runs out of the page.
#   report-screens.sh report.html [folder]     CHROMIUM names the browser; Debian's package is chromium
set -euo pipefail
page=${1:?usage: report-screens.sh report.html [folder]}
folder=${2:-${page%.html}-screens}
browser=${CHROMIUM:-$(command -v chromium || true)}
[ -n "$browser" ] || { echo "chromium is missing: apt-get install chromium" >&2; exit 2; }
[ -f "$page" ] || { echo "$page is missing" >&2; exit 2; }
mkdir -p "$folder"
exec node "$(dirname "$0")/report-screens.mjs" "$browser" "$(realpath "$page")" "$folder"
