#!/usr/bin/env bash
# What may not be among the dependencies: other licences and sources than deny.toml allows, crates that it bans, and versions with a
# known flaw. With `install`: only makes sure that cargo-deny is there, which takes minutes the first time.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
cd "$REPO_DIR"

version=0.20.2
root=$CACHE/cargo-deny-$version
advisories=https://github.com/RustSec/advisory-db

install() {
    local new child
    exec 8>"$CACHE/cargo-deny.lock"
    flock 8
    [ ! -x "$root/bin/cargo-deny" ] || return 0
    rm -rf "$root".tmp.*
    new=$(temporary "$root")
    # It runs for seconds: fast to build is better than fast. What waits for it has the processor first.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_DEBUG=0 nice -n 19 \
        cargo install --quiet --locked --version "$version" --root "$new" --target-dir "$new/target" cargo-deny &
    child=$!
    trap 'kill "$child"; exit 143' TERM
    wait "$child"
    trap - TERM
    rm -rf "$new/target" "$root"
    mv "$new" "$root"
}

install
[ "${1:-}" != install ] || exit 0
deny() { "$root/bin/cargo-deny" --locked "$@"; }
# Cargo fetches what is missing of the crates; nothing else comes from outside.
cargo fetch --quiet --locked
deny --offline check bans licenses sources
# The database of advisories is a Git repository, and not every network lets one reach it.
if why=$(GIT_TERMINAL_PROMPT=0 timeout 30 git ls-remote --exit-code "$advisories" HEAD 2>&1 >/dev/null); then
    deny check advisories
else
    say "==> SKIPPED: known advisories, as $advisories cannot be reached: ${why:-no answer in 30 s}"
fi
