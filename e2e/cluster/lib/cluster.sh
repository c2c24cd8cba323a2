# The engine and the kind cluster on it. Needs engine.sh, mode.sh, node.sh and step.sh.
# shellcheck shell=bash disable=SC2153 # CLUSTER_NAME is of common.sh

# Written when the cluster is whole: what it was made from. Without it a cluster is a leftover.
CLUSTER_MADE=$STATE/cluster

kind_config() {
    local own_network=false
    [ "$MODE" != built ] || own_network=true
    sed "s/@DISABLE_DEFAULT_CNI@/$own_network/" "$CLUSTER_DIR/kind.yaml"
}

node_image() { echo "$NODE_IMAGE:$(basename "$(node_archive)" .tar)"; }

cluster_key() {
    local image=kind
    [ "$MODE" != built ] || image=$(node_image)
    key "$MODE" "$image" "$(kind_config)" "$(program_path kind)"
}

cluster_answers() {
    [ "$(cat "$CLUSTER_MADE" 2>/dev/null)" = "$(cluster_key)" ] &&
        timeout 15 "$CLUSTER_DIR/inside.sh" kubectl get --raw /readyz >/dev/null 2>&1
}

load_node_image() {
    docker image inspect "$(node_image)" >/dev/null 2>&1 && return
    step "load the node image" docker load --quiet --input "$(node_archive)"
    only_image "$(node_image)"
}

create_cluster() {
    local image=()
    [ "$MODE" != built ] || image=(--image "$(node_image)")
    rm -f "$CLUSTER_MADE" "$STATE/image-tags"
    kind delete cluster --name "$CLUSTER_NAME" --kubeconfig "$KUBECONFIG_FILE"
    kind_config >"$STATE/kind.yaml"
    kind create cluster --config "$STATE/kind.yaml" "${image[@]}" --kubeconfig "$KUBECONFIG_FILE" --wait 120s --retain
    kubectl_inside get nodes -o wide
    cluster_key >"$CLUSTER_MADE.tmp" && mv "$CLUSTER_MADE.tmp" "$CLUSTER_MADE"
}

kubectl_inside() { "$CLUSTER_DIR/inside.sh" kubectl "$@"; }

ensure_cluster() {
    if [ "$MODE" = built ]; then
        ensure_engine
        load_node_image
    fi
    if cluster_answers; then cached "cluster"; else step "kind cluster" create_cluster; fi
}
