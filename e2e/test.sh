#!/usr/bin/env bash
# make test: everything. Brings up a cluster where none is up, and takes that one down again at the end.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
. "$(dirname "$0")/cluster/lib/step.sh"
here=$(cd "$(dirname "$0")" && pwd)

inside() { "$CLUSTER_DIR/inside.sh" "$@"; }
test_with_cargo() { cargo test --release --locked --manifest-path "$REPO_DIR/Cargo.toml" "$@"; }

finish() {
    local code=$?
    if [ -n "${ours:-}" ]; then
        "$CLUSTER_DIR/down.sh"
    else
        inside kubectl delete namespace --selector kbnt.dev/e2e --wait=false 2>/dev/null || true
    fi
    say "==> test: $([ "$code" = 0 ] && echo passed || echo FAILED) in $(elapsed)"
    exit "$code"
}

inside kubectl version >/dev/null 2>&1 || ours=yes
trap finish EXIT
"$CLUSTER_DIR/up.sh"
step "compile the tests" test_with_cargo --workspace --no-run

say "==> unit, property and simulation tests"
make -s -C "$REPO_DIR" check
say "==> the operator on an API server alone"
test_with_cargo -p kbnt-operator --test '*'
say "==> the product on the cluster"
"$here/install.sh"
export KBNT_E2E_REPO=$REPO_DIR
inside "$(command -v cargo)" test --release --locked --manifest-path "$REPO_DIR/Cargo.toml" -p kbnt-e2e --test cluster -- --nocapture
