#!/usr/bin/env bash
# Renders the charts to manifests/install, for those who install without Helm:
#   kubectl apply --server-side -f manifests/install/
# With --check it writes nothing, and fails where what lies there is stale. HELM names the helm program.
set -euo pipefail
cd "$(dirname "$0")/.."
render() { "${HELM:-helm}" template kbnt "charts/$1" --namespace kbnt-system --kube-version 1.30.0; }
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
{
    printf 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: kbnt-system\n'
    printf '  labels:\n    pod-security.kubernetes.io/enforce: restricted\n'
} >"$made/00-namespace.yaml"
render kbnt-crds >"$made/10-crds.yaml"
render kbnt >"$made/20-operator.yaml"
if [ "${1:-}" = --check ]; then
    diff -r "$made" manifests/install >/dev/null || { echo "manifests/install is stale: run \`make generate\`" >&2; exit 1; }
else
    mkdir -p manifests/install
    cp "$made"/*.yaml manifests/install/
fi
