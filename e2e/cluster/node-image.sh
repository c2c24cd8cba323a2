#!/usr/bin/env bash
# Makes kind's node image from Debian packages and the programs of go.sh, and prints the archive's path. The layout is
# that of kind's own images/base and of `kind build node-image`, whose files come from kind's Go module.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/step.sh"
. "$(dirname "$0")/lib/programs.sh"
. "$(dirname "$0")/lib/rootfs.sh"
. "$(dirname "$0")/lib/archive.sh"
. "$(dirname "$0")/lib/kube-images.sh"
. "$(dirname "$0")/lib/node.sh"

step_unless_made() {
    local name=$1 product=$2
    shift 2
    if [ -e "$product" ]; then cached "$name"; else step "$name" "$@"; fi
}

archive=$(node_archive)
step_unless_made "node image" "$archive" make_node_image "$archive"
echo "$archive"
