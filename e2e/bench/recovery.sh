#!/usr/bin/env bash
# make bench-recovery: inventory-service after kill -9 with EVENTS events in its log, with a snapshot and without, and the memory
# of each service while it catches up with that log; on a broker of its own. Nothing else should run meanwhile. Its arguments
# go to the example `recovery`.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/built.sh"
cd "$REPO_DIR"
scratch=$(mktemp -d)

finish() {
    e2e/kafka/broker.sh kill "$scratch/broker" || true
    rm -rf "$scratch"
}
trap finish EXIT

e2e/cluster/prerequisites.sh built
selection=(build --bin kbnt --example recovery)
kbnt=$(built kbnt "${selection[@]}")
recovery=$(built recovery "${selection[@]}")
bootstrap=$(e2e/kafka/broker.sh start "$scratch/broker")
mkdir "$scratch/snapshots"
"$recovery" --kbnt "$kbnt" --bootstrap "$bootstrap" --scratch "$scratch/snapshots" "$@"
