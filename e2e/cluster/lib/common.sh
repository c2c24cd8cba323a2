# Sourced by every script here: where things lie, and small helpers that all of them need.
# shellcheck shell=bash disable=SC2034 # used by those who source it

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPO_DIR=$(cd "$CLUSTER_DIR/../.." && pwd)
# What is expensive to make; survives `make down`.
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kbnt
# What describes the running cluster; `make down` removes it.
STATE=$CACHE/state
LOGS=$CACHE/logs
KUBECONFIG_FILE=$STATE/kubeconfig
CLUSTER_NAME=kbnt
NODE=$CLUSTER_NAME-control-plane
# Seconds since the epoch at which the outermost script began: "elapsed so far" is counted from here.
export KBNT_T0=${KBNT_T0:-$EPOCHSECONDS}

mkdir -p "$CACHE" "$STATE" "$LOGS"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# 75 -> 1:15
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
elapsed() { clock $((EPOCHSECONDS - KBNT_T0)); }

# A short hash of the arguments and of the named files (after --), the key under which a product is cached.
key() {
    local words=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do words+=("$1"); shift; done
    shift || true
    { printf '%s\n' "${words[@]}"; [ $# -eq 0 ] || cat -- "$@"; } | sha256sum | cut -c1-16
}

# Name for a product that is being made; the product gets its own name by one rename, when it is whole.
temporary() { printf '%s.tmp.%s' "$1" "$BASHPID"; }

# Products that were being made when their script was killed. Only under the lock: nobody else is at work then.
remove_half_made() {
    rm -rf "$CACHE/tmp"
    find "$CACHE"/{images,rootfs,kafka} -maxdepth 1 -name '*.tmp.*' -exec rm -rf {} + 2>/dev/null || true
}

# One up, down or images at a time. The lock falls with the last process that holds descriptor 9.
lock() {
    exec 9>"$CACHE/lock"
    flock -n 9 && return
    say "==> another cluster script is at work; waiting for it ..."
    until flock -w 15 9; do say "    waiting ($(elapsed))"; done
}
