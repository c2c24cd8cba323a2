#!/usr/bin/env bash
# Installs the operator with Helm into the cluster that is up, or upgrades it to what was built last.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
. "$(dirname "$0")/cluster/lib/step.sh"

inside() { "$CLUSTER_DIR/inside.sh" "$@"; }

# Where our own images are in the cluster their tags say what is in them, so that another build is another rollout.
images=()
if tags=$("$CLUSTER_DIR/images.sh" tags); then
    for name in operator services; do
        images+=(--set-string "images.$name.tag=$(sed -n "s/^$name //p" <<<"$tags")")
    done
fi

step "helm: the custom resource definitions" inside helm upgrade --install kbnt-crds "$REPO_DIR/charts/kbnt-crds" \
    --namespace kbnt-system --create-namespace --wait
step "helm: the operator" inside helm upgrade --install kbnt "$REPO_DIR/charts/kbnt" \
    --namespace kbnt-system --wait --timeout 180s "${images[@]}"
