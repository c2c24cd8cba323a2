#!/usr/bin/env bash
# make generate: writes the custom resource definitions, their chart, and the charts as rendered. With --check it
# writes nothing, and fails where what lies there is stale.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/programs.sh"
cd "$REPO_DIR"

e2e/cargo.sh run --release --locked --quiet --bin crdgen -- "$@"
# The pinned one: another version may render otherwise.
e2e/cluster/go.sh helm
HELM=$(program_path helm) manifests/render.sh "$@"
