# Which cluster: "docker" (kind as its makers ship it, on the machine's Docker), "built" (our own engine and node
# image, where there is no Docker or no image registry) or "external" (KBNT_E2E_KUBECONFIG: the user's).
# Needs engine.sh.
# shellcheck shell=bash

MODE_FILE=$STATE/mode

# What runs, or else what would.
cluster_mode() {
    if [ -n "${KBNT_E2E_KUBECONFIG:-}" ]; then echo external; else cat "$MODE_FILE" 2>/dev/null || detect_mode; fi
}

detect_mode() {
    case ${KBNT_CLUSTER:-} in
    docker | built) echo "$KBNT_CLUSTER" ;;
    '') if docker_can_pull; then echo docker; else echo built; fi ;;
    *) die "KBNT_CLUSTER is 'docker' or 'built', not '$KBNT_CLUSTER'" ;;
    esac
}

# The image that every cluster pulls, and a small one.
docker_can_pull() {
    timeout 10 docker info >/dev/null 2>&1 && timeout 60 docker pull -q registry.k8s.io/pause:3.10 >/dev/null 2>&1
}

# Our programs before the machine's, and the engine and cluster that they talk to.
use_mode() {
    MODE=$1
    export PATH=$STATE/bin:$PATH
    case $MODE in
    external) KUBECONFIG=$(realpath -- "$KBNT_E2E_KUBECONFIG") ;;
    *) KUBECONFIG=$KUBECONFIG_FILE ;;
    esac
    export KUBECONFIG
    if [ "$MODE" = built ]; then
        # The machine may have another client, set up for another engine.
        unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
        export DOCKER_HOST=unix://$ENGINE_SOCKET DOCKER_CONFIG=$STATE/docker-config DOCKER_BUILDKIT=0
    fi
}

# Links in one folder for PATH.
link_programs() {
    local program
    mkdir -p "$STATE/bin"
    for program in kubectl helm kind; do ln -sfn "$(program_path "$program")" "$STATE/bin/$program"; done
    [ "$MODE" != built ] || ln -sfn /usr/bin/docker "$STATE/bin/docker"
}
