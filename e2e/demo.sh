#!/usr/bin/env bash
# make demo: a cluster, Kafka, the operator, the samples, and orders through all of it. The cluster stays up.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
. "$(dirname "$0")/cluster/lib/step.sh"
here=$(cd "$(dirname "$0")" && pwd)

inside() { "$CLUSTER_DIR/inside.sh" "$@"; }

apply_samples() {
    inside kubectl apply -f "$REPO_DIR/manifests/samples/"
    inside kubectl wait --namespace shop --for=condition=Ready virtualstock/main orderworkflow/main --timeout=180s
}

"$CLUSTER_DIR/up.sh"
"$here/install.sh"
step "kubectl apply -f manifests/samples/, until both are Ready" apply_samples
inside "$here/orders.sh"

printf '\n$ kubectl get virtualstocks,orderworkflows -A\n'
inside kubectl get virtualstocks,orderworkflows -A
printf '\n$ kubectl get kafkatopics -A\n'
inside kubectl get kafkatopics -A
cat <<'NEXT'

The cluster stays up. Next:
  make kubectl ARGS='get pods -A'
  make kubectl ARGS='describe virtualstock main --namespace shop'
  make endpoints
  make shell                 # then: curl -s $(make -s endpoints | sed -n 's/^ORDERS=//p')/v1/orders | jq
  make down                  # removes every trace
NEXT
say "==> demo done in $(elapsed)"
