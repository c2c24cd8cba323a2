#!/usr/bin/env bash
# make chaos-mutants: shows that the check of a chaos run can fail. A bug is planted in a copy of the services, and the run must end with a
# violation of the rule that it breaks.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/built.sh"
cd "$REPO_DIR"
scratch=$CACHE/chaos-mutants
report=$(mktemp)
trap 'rm -rf "$report" "$scratch/copy"' EXIT
unseen=0

# The services of this checkout with a bug. Their build has a folder of its own, as it would make the checkout's anew, and the files are new, as
# cargo would take what is older than its last build for that.
services_with() {
    rm -rf "$scratch/copy" && mkdir -p "$scratch/copy"
    git ls-files -z | tar --create --null --files-from=- | tar --extract --touch --directory "$scratch/copy"
    "$mutants" --only "$1" --plant "$scratch/copy"
    REPO_DIR=$scratch/copy CARGO_TARGET_DIR=$scratch/target built kbnt build --bin kbnt
}

# try BUG RULE: with the bug, the rule is found to be broken.
try() {
    local services
    say "==> $1 ($(elapsed))"
    services=$(services_with "$1")
    if KBNT_CHAOS_SERVICES=$services e2e/chaos/run.sh faults --faults 45 --orders 12000 >"$report" 2>&1; then
        say "    nothing was found"
    elif grep --max-count 3 "VIOLATION $2" "$report"; then
        return 0
    else
        tail -20 "$report" >&2
    fi
    unseen=$((unseen + 1))
}

mutants=$(built kbnt-mutants build --bin kbnt-mutants)
try fence-admits-a-stale-term NotOversold
try audit-links-what-is-linked Audited
[ "$unseen" = 0 ] || die "$unseen planted bugs were not seen"
say "==> each planted bug was seen ($(elapsed))"
