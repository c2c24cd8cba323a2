#!/usr/bin/env bash
# Builds Kubernetes and its friends from the Go modules pinned in go/: go.sh PROGRAM...
# A program is built once per content of its module's go.mod, go.sum and main.go, and lies then in the cache.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/step.sh"
. "$(dirname "$0")/lib/programs.sh"

ready=()
for program in "$@"; do
    to=$(program_path "$program")
    if [ -x "$to" ]; then
        ready+=("$program")
    else
        step "build $program" build_program "$program" "$to"
    fi
done
[ ${#ready[@]} -eq 0 ] || cached "${ready[*]}"
