#!/usr/bin/env bash
# Brings up the cluster that the end-to-end tests and `make demo` need, with Kafka in it and the project's images
# loaded. Can be run again at any time, also after it was killed: what is there is kept, what is not is made.
# How it works: README.md beside this folder.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/step.sh"
. "$(dirname "$0")/lib/process.sh"
. "$(dirname "$0")/lib/engine.sh"
. "$(dirname "$0")/lib/mode.sh"
. "$(dirname "$0")/lib/programs.sh"
. "$(dirname "$0")/lib/rootfs.sh"
. "$(dirname "$0")/lib/archive.sh"
. "$(dirname "$0")/lib/kafka-image.sh"
. "$(dirname "$0")/lib/base-image.sh"
. "$(dirname "$0")/lib/kube-images.sh"
. "$(dirname "$0")/lib/node.sh"
. "$(dirname "$0")/lib/parts.sh"
. "$(dirname "$0")/lib/cluster.sh"
. "$(dirname "$0")/lib/kafka.sh"

lock
export KBNT_LOCKED=1
trap 'kill -TERM $(jobs -p) 2>/dev/null || true; wait' EXIT
remove_half_made
mkdir -p "$CACHE"/{bin,images,kafka,rootfs,tmp}

use_mode "$(cluster_mode)"
say "==> cluster: $(describe_mode)"
"$CLUSTER_DIR/prerequisites.sh" "$MODE"
if [ "$MODE" != external ]; then
    echo "$MODE" >"$MODE_FILE"
    # Without our lock, like go.sh: both have locks of their own, and may outlive a killed up.sh for the next one's good.
    "$CLUSTER_DIR/images.sh" compile 9>&- &
    compile=$!
fi
make_parts
link_programs
if [ "$MODE" != external ]; then ensure_cluster; fi
install_kafka
if [ "$MODE" != external ]; then
    wait "$compile" || die "the project does not compile; the cluster is up, without its images"
    "$CLUSTER_DIR/images.sh" load
fi
install_standin
wait_parts
wait_kafka
say "==> up in $(elapsed). Next: make kubectl ARGS='get pods -A', make endpoints, make shell"
