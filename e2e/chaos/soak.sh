#!/usr/bin/env bash
# make soak: orders for hours, while services are killed and the log is cut. Its arguments go to `kbnt-chaos soak`. All of it lies in a directory
# of its own, under KBNT_SOAK_DIR or where temporary files lie: it is removed if all was well, and kept if not. What was measured is kept beside
# the plot that --plot names.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
directory=$(mktemp -d "${KBNT_SOAK_DIR:-${TMPDIR:-/tmp}}/kbnt-soak.XXXXXX")

finish() {
    local code=$?
    if [ "$code" = 0 ]; then
        rm -rf "$directory"
    else
        say "==> soak: what there is lies in $directory"
    fi
}
trap finish EXIT
# Ctrl-C is heard by the run itself, which then ends.
trap 'wait; exit 130' INT
trap 'kill -TERM $! 2>/dev/null; wait; exit 143' TERM HUP
# Buyers who wait have a connection each.
ulimit -n "$(ulimit -Hn)"
"$here/run.sh" soak --directory "$directory/run" "$@" &
wait $!
