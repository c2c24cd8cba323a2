#!/usr/bin/env bash
# Builds the project's images and loads them into the cluster, if one is up. What has not changed is left alone.
#   images.sh          all of it
#   images.sh compile  only the release builds (they need no Docker)
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/step.sh"
. "$(dirname "$0")/lib/process.sh"
. "$(dirname "$0")/lib/engine.sh"
. "$(dirname "$0")/lib/mode.sh"
. "$(dirname "$0")/lib/rootfs.sh"
. "$(dirname "$0")/lib/archive.sh"
. "$(dirname "$0")/lib/base-image.sh"

# image, package, program
IMAGES=("kbnt/operator:dev kbnt-operator kbnt-operator" "kbnt/services:dev kbnt-services kbnt"
    "kbnt/e2e:dev kbnt-e2e kbnt-strimzi-standin")
TARGET=${CARGO_TARGET_DIR:-$CACHE/target}

# A program that its package does not have yet is left out.
has_program() {
    jq -e --arg package "$1" --arg program "$2" '.packages[] | select(.name == $package).targets[]
        | select(.name == $program and .kind == ["bin"])' <<<"$METADATA" >/dev/null
}

compile() {
    local line image package program arguments=()
    METADATA=$(cargo metadata --manifest-path "$REPO_DIR/Cargo.toml" --no-deps --format-version 1 2>/dev/null)
    for line in "${IMAGES[@]}"; do
        read -r image package program <<<"$line"
        ! has_program "$package" "$program" || arguments+=(--package "$package" --bin "$program")
    done
    [ ${#arguments[@]} -gt 0 ] || return 0
    # Below the Kubernetes build in priority: nothing waits for it before the cluster stands.
    step "compile the project" nice -n 5 cargo build --release --manifest-path "$REPO_DIR/Cargo.toml" \
        --target-dir "$TARGET" "${arguments[@]}"
}

image_key() { docker image inspect --format '{{index .Config.Labels "dev.kbnt.key"}}' "$1" 2>/dev/null || true; }

# build_image IMAGE PROGRAM: the key is of everything that goes into it.
build_image() {
    local image=$1 program=$2 base=() base_id=distroless key context
    if [ "$MODE" = built ]; then
        base=(--build-arg "BASE=$BASE_IMAGE")
        base_id=$(docker image inspect --format '{{.Id}}' "$BASE_IMAGE")
    fi
    key=$(key "$base_id" -- "$TARGET/release/$program" "$REPO_DIR/Dockerfile")
    if [ "$(image_key "$image")" = "$key" ]; then cached "image $image"; return; fi
    context=$CACHE/tmp/context-$program
    rm -rf "$context" && mkdir -p "$context"
    ln "$TARGET/release/$program" "$context/" 2>/dev/null || cp "$TARGET/release/$program" "$context/"
    step "image $image" docker build --quiet --tag "$image" --label "dev.kbnt.key=$key" "${base[@]}" \
        --build-arg "BIN=$program" --file "$REPO_DIR/Dockerfile" "$context"
    rm -rf "$context"
}

build_base_image() {
    local archive
    archive=$(base_archive)
    if [ ! -e "$archive" ]; then
        [ -e "$(base_rootfs)" ] || step "base image packages" rootfs "$(base_rootfs)" extract "${BASE_PACKAGES[@]}"
        step "base image" make_base_image "$archive"
    fi
    # Loading what is there already takes no time.
    docker load --quiet --input "$archive" >/dev/null
}

load() {
    local line image package program made=()
    [ "$MODE" != built ] || build_base_image
    for line in "${IMAGES[@]}"; do
        read -r image package program <<<"$line"
        has_program "$package" "$program" || continue
        build_image "$image" "$program"
        made+=("$image")
    done
    # kind itself skips the images that the node has.
    if [ ${#made[@]} -gt 0 ] && [ -e "$STATE/cluster" ]; then
        step "load images into the node" kind load docker-image --name "$CLUSTER_NAME" "${made[@]}"
    fi
}

use_mode "$(cluster_mode)"
compile
if [ "${1:-}" = compile ] || [ "$MODE" = external ]; then exit 0; fi
[ -n "${KBNT_LOCKED:-}" ] || lock
mkdir -p "$CACHE"/{images,rootfs,tmp}
[ "$MODE" != built ] || ensure_engine
load
