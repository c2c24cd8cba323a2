#!/usr/bin/env bash
# make upgrade-test: an earlier revision is installed, and upgraded to the present one while orders come in; none may be lost.
# The earlier one, FROM=REVISION, is built from the repository's history, once: a clone needs that much history.
# It leaves the present revision installed, and takes the cluster down if none was up before.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
. "$(dirname "$0")/cluster/lib/step.sh"
. "$(dirname "$0")/cluster/lib/built.sh"
. "$(dirname "$0")/cluster/lib/disown.sh"
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
cd "$REPO_DIR"

revision=$(git rev-parse --verify --quiet "${1:?a revision}^{commit}") ||
    die "the revision $1 is not in this clone: git fetch --unshallow, or name another one by FROM="
old=$CACHE/upgrade/$revision

inside() { "$CLUSTER_DIR/inside.sh" "$@"; }

finish() {
    local code=$?
    [ -z "${suite:-}" ] || kill "$suite" 2>/dev/null || true
    rm -rf "$scratch"
    if [ -n "${ours:-}" ]; then
        "$CLUSTER_DIR/down.sh"
    else
        inside kubectl delete namespace e2e-upgrade --ignore-not-found --wait=false 2>/dev/null || true
    fi
    say "==> upgrade test: $([ "$code" = 0 ] && echo passed || echo FAILED) in $(elapsed)"
}

checkout() {
    [ ! -e "$old" ] || return 0
    rm -rf "$old.tmp" && mkdir -p "$old.tmp"
    git archive "$revision" | tar -x -C "$old.tmp"
    mv "$old.tmp" "$old"
}

# The scripts of the earlier revision build, load and install what is theirs. Their build has a folder of its own: in the
# usual one, each of the two revisions would make the other one's anew.
earlier() { CARGO_TARGET_DIR=$CACHE/upgrade/target "$@"; }

compile() { built upgrade test --no-run --test upgrade 2>/dev/null; }

# Waits for a file of the suite, as long as that runs.
await() {
    until [ -e "$1" ]; do
        kill -0 "$suite" 2>/dev/null || { wait "$suite" || true; die "the suite ended early"; }
        sleep 0.2
    done
}

# What a pod of the present revision may run.
images() { sed -n 's#^\(operator\|services\) #kbnt/\1:#p' <<<"$("$CLUSTER_DIR/images.sh" tags)"; }

inside kubectl version >/dev/null 2>&1 || ours=yes
trap finish EXIT
checkout
disown_others "$CACHE/upgrade/target" "$revision"
step "compile the suite" compile
"$CLUSTER_DIR/up.sh"
say "==> the earlier revision, $(git log -1 --format='%h %s' "$revision")"
earlier "$old/e2e/cluster/images.sh"
earlier "$old/e2e/install.sh"
program=$(compile)
KBNT_UPGRADE_DIR=$scratch KBNT_UPGRADE_SAMPLES=$old/manifests/samples "$CLUSTER_DIR/inside.sh" "$program" --nocapture &
suite=$!
await "$scratch/under-load"
say "==> orders come in; the present revision ($(elapsed))"
"$CLUSTER_DIR/images.sh" load
"$here/install.sh"
images >"$scratch/images"
[ -s "$scratch/images" ] || die "nobody knows what images the present revision has: this needs a cluster that images.sh loads"
mv "$scratch/images" "$scratch/upgraded"
wait "$suite"
suite=
