# Everything that can be made before there is a cluster. Needs programs.sh, node.sh, kafka-image.sh, base-image.sh.
# shellcheck shell=bash

describe_mode() {
    case $MODE in
    external) echo "yours, by KBNT_E2E_KUBECONFIG=$KBNT_E2E_KUBECONFIG" ;;
    docker) echo "kind with its own node image, on this machine's Docker (KBNT_CLUSTER=built forces the other way)" ;;
    built) echo "kind with a node image built here from Go modules and Debian packages, on a Docker engine of our own" \
        "(KBNT_CLUSTER=docker forces the other way)" ;;
    esac
}

# unless_made NAME PRODUCT COMMAND...
unless_made() {
    local name=$1 product=$2
    shift 2
    if [ -e "$product" ]; then cached "$name"; else step "$name" "$@"; fi
}

# What mostly waits for the network; beside the builds, which mostly compute.
make_debian_parts() {
    unless_made "node packages" "$(node_rootfs)" rootfs "$(node_rootfs)" minbase "${NODE_PACKAGES[@]}"
    unless_made "Kafka jars" "$(kafka_jars)" fetch_kafka_jars "$(kafka_jars)"
    unless_made "Java runtime" "$(kafka_rootfs)" rootfs "$(kafka_rootfs)" extract "${KAFKA_PACKAGES[@]}"
    unless_made "Kafka image" "$(kafka_archive)" make_kafka_image "$(kafka_archive)"
    unless_made "base image packages" "$(base_rootfs)" rootfs "$(base_rootfs)" extract "${BASE_PACKAGES[@]}"
    unless_made "base image" "$(base_archive)" make_base_image "$(base_archive)"
}

# Sets HELM_BUILD where helm is still being built.
make_parts() {
    if [ "$MODE" != built ]; then "$CLUSTER_DIR/go.sh" kubectl helm kind etcd kube-apiserver 9>&-; return; fi
    local debian
    make_debian_parts &
    debian=$!
    "$CLUSTER_DIR/go.sh" "${NODE_PROGRAMS[@]}" kind 9>&-
    # The cluster stands before somebody installs something in it, and until then mostly waits.
    "$CLUSTER_DIR/go.sh" helm 9>&- &
    HELM_BUILD=$!
    wait "$debian"
    unless_made "node image" "$(node_archive)" make_node_image "$(node_archive)"
}

# wait_parts: for what make_parts left behind it.
wait_parts() { [ -z "${HELM_BUILD:-}" ] || wait "$HELM_BUILD" || die "helm does not compile"; }
