# Kafka in the cluster: real Strimzi where its images can be pulled, else a broker of ours under the same names, with a
# stand-in for its Topic Operator. Needs cluster.sh and kafka-image.sh.
# shellcheck shell=bash

STRIMZI_VERSION=1.2.0
STRIMZI_DIR=$REPO_DIR/e2e/strimzi

# A cluster of the user's may have all of it already.
kafka_is_foreign() { [ "$MODE" = external ] && kubectl_inside get service --namespace kafka kbnt-kafka-bootstrap >/dev/null 2>&1; }

install_kafka() {
    kubectl_inside create namespace shop --dry-run=client -o yaml | kubectl_inside apply -f - >/dev/null
    if kafka_is_foreign; then cached "Kafka"; elif [ "$MODE" = built ]; then install_broker; else install_strimzi; fi
}

install_strimzi() {
    step "Strimzi" "$CLUSTER_DIR/inside.sh" helm upgrade --install strimzi \
        oci://quay.io/strimzi-helm/strimzi-kafka-operator --version "$STRIMZI_VERSION" \
        --namespace kafka --create-namespace --wait --timeout 5m
    step "Kafka" kubectl_inside apply --server-side --filename "$STRIMZI_DIR/kafka.yaml"
}

install_broker() {
    # Only when the node lacks it: kind would copy it again.
    if [ -z "$(docker exec "$NODE" ctr --namespace k8s.io images list -q "name==docker.io/$(kafka_image)" 2>/dev/null)" ]; then
        step "load the Kafka image" kind load image-archive --name "$CLUSTER_NAME" "$(kafka_archive)"
    fi
    sed "s|@IMAGE@|$(kafka_image)|" "$KAFKA_DIR/kafka.yaml" >"$STATE/kafka.yaml"
    step "Kafka" kubectl_inside apply --server-side --filename "$KAFKA_DIR/namespace.yaml" \
        --filename "$STRIMZI_DIR/kafkatopics-crd.yaml" --filename "$STATE/kafka.yaml"
}

install_standin() {
    [ "$MODE" = built ] || return 0
    local tag
    tag=$("$CLUSTER_DIR/images.sh" tags | sed -n 's/^e2e //p')
    sed "s|@IMAGE@|kbnt/e2e:$tag|" "$STRIMZI_DIR/standin.yaml" >"$STATE/standin.yaml"
    step "stand-in for Strimzi's Topic Operator" kubectl_inside apply --server-side --filename "$STATE/standin.yaml"
}

wait_kafka() {
    if kafka_is_foreign; then return; fi
    if [ "$MODE" != built ]; then
        step "wait for Kafka" kubectl_inside wait --namespace kafka --for condition=Ready kafka/kbnt --timeout 5m
        return
    fi
    step "wait for Kafka" kubectl_inside rollout status --namespace kafka statefulset/kbnt-kafka --timeout 3m
    step "wait for the stand-in" kubectl_inside rollout status --namespace kafka deployment/kbnt-strimzi-standin --timeout 2m
}
