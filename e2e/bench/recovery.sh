#!/usr/bin/env bash
# make bench-recovery: inventory-service after kill -9 with EVENTS events in its log, with a snapshot and without, and the memory
# of each service while it catches up with that log; on a broker of its own. Nothing else should run meanwhile. Its arguments
# go to the example `recovery`.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
cd "$REPO_DIR"
scratch=$(mktemp -d)

finish() {
    e2e/kafka/broker.sh kill "$scratch/broker" || true
    rm -rf "$scratch"
}
trap finish EXIT

e2e/cluster/prerequisites.sh built
mapfile -t built < <(e2e/cargo.sh build --release --locked --workspace --bin kbnt --example recovery --message-format json |
    jq -r 'select(.executable != null) | .executable')
for program in "${built[@]}"; do
    case $(basename "$program") in
    kbnt) kbnt=$program ;;
    recovery) recovery=$program ;;
    esac
done
bootstrap=$(e2e/kafka/broker.sh start "$scratch/broker")
mkdir "$scratch/snapshots"
"$recovery" --kbnt "$kbnt" --bootstrap "$bootstrap" --scratch "$scratch/snapshots" "$@"
