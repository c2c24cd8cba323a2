#!/usr/bin/env bash
# make generate: writes the custom resource definitions, their chart, the charts as rendered, and the description of the
# HTTP API. With --check it writes nothing, and fails where what lies there is stale.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/programs.sh"
cd "$REPO_DIR"

e2e/cargo.sh run --release --locked --quiet --bin crdgen -- "$@"
# The pinned one: another version may render otherwise.
e2e/cluster/go.sh helm
HELM=$(program_path helm) manifests/render.sh "$@"

api=docs/openapi.json
described() { e2e/cargo.sh run --release --locked --quiet --bin kbnt -- openapi; }
if [ "${1:-}" = --check ]; then
    diff --unified "$api" <(described) >&2 || die "$api is stale: make generate"
else
    described >"$api"
fi
