#!/usr/bin/env bash
# Renders the charts: to manifests/install, for those who install without Helm
#   kubectl apply --server-side -f manifests/install/
# and, for one namespace and for Kafka users, for the operator's tests. With --check it writes nothing, and fails where what lies there is
# stale. HELM names the helm program.
set -euo pipefail
cd "$(dirname "$0")/.."
render() { "${HELM:-helm}" template "$1" "charts/$2" --namespace "$3" --kube-version 1.30.0 "${@:4}"; }
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
mkdir "$made/install"
{
    printf 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: kbnt-system\n'
    printf '  labels:\n    pod-security.kubernetes.io/enforce: restricted\n'
} >"$made/install/00-namespace.yaml"
render kbnt kbnt-crds kbnt-system >"$made/install/10-crds.yaml"
render kbnt kbnt kbnt-system >"$made/install/20-operator.yaml"
render kbnt-namespaced kbnt kbnt-namespaced --set 'watchNamespaces={near},kafkaNamespaces={kafka}' >"$made/namespaced.yaml"
render kbnt kbnt kbnt-system --show-only templates/kafka-users.yaml \
    --set 'kafkaUsers.enabled=true,kafkaUsers.secretsFrom={kafka},kafkaUsers.secretsTo={users}' >"$made/users.yaml"
tests=operator/tests/apiserver
if [ "${1:-}" = --check ]; then
    if ! diff -r "$made/install" manifests/install || ! diff "$made/namespaced.yaml" "$tests/namespaced.yaml" ||
        ! diff "$made/users.yaml" "$tests/users.yaml"; then
        echo "manifests/install or a manifest in $tests is stale: run \`make generate\`" >&2
        exit 1
    fi >/dev/null
else
    mkdir -p manifests/install
    cp "$made"/install/*.yaml manifests/install/
    cp "$made/namespaced.yaml" "$made/users.yaml" "$tests"
fi
