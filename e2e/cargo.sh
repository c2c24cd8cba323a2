#!/usr/bin/env bash
# cargo, with what it builds kept outside the checkout, so that a fresh clone finds all dependencies built.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
. "$(dirname "$0")/cluster/lib/disown.sh"
cd "$REPO_DIR"

if [ -z "${CARGO_TARGET_DIR:-}" ]; then
    export CARGO_TARGET_DIR=$CACHE/target
    disown_others "$CARGO_TARGET_DIR" "$REPO_DIR $(stat -c '%i %W' "$REPO_DIR")"
fi
exec cargo "$@"
