#!/usr/bin/env bash
# What shellcheck says of every shell script, and actionlint of every workflow.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/python.sh"
. "$(dirname "$0")/../cluster/lib/programs.sh"
cd "$REPO_DIR"

python=$(python_programs shellcheck e2e/check/requirements.txt)
"$CLUSTER_DIR/go.sh" actionlint
# By their first line or their name; the ones that others source have a name only.
mapfile -t scripts < <(git ls-files -z --cached --others --exclude-standard |
    xargs -0 awk 'FNR == 1 { if (FILENAME ~ /\.sh$/ || /^#!.*[\/ ](ba)?sh( |$)/) print FILENAME; nextfile }' | sort)
[ ${#scripts[@]} -gt 40 ] || die "found ${#scripts[@]} shell scripts only"
"$python/shellcheck" "${scripts[@]}"
PATH=$python:$PATH "$(program_path actionlint)"
