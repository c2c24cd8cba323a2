#!/usr/bin/env bash
# cargo, with what it builds kept outside the checkout, so that a fresh clone finds all dependencies built.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
cd "$REPO_DIR"

# To cargo, the crates of two checkouts are the same ones, and whatever is not newer than the last build is unchanged:
# when another checkout was built here last, the project's own crates have to be built anew.
disown_others() {
    local owner=$CARGO_TARGET_DIR/checkout us
    us="$REPO_DIR $(stat -c '%i %W' "$REPO_DIR")"
    [ "$(cat "$owner" 2>/dev/null)" != "$us" ] || return 0
    rm -rf "$CARGO_TARGET_DIR"/*/.fingerprint/kbnt-*
    mkdir -p "$CARGO_TARGET_DIR"
    printf '%s\n' "$us" >"$owner"
}

if [ -z "${CARGO_TARGET_DIR:-}" ]; then
    export CARGO_TARGET_DIR=$CACHE/target
    disown_others
fi
exec cargo "$@"
