#!/usr/bin/env bash
# Builds the project's images and loads them into the cluster, if one is up. What has not changed is left alone.
#   images.sh          all of it
#   images.sh compile  only the release builds, which need no Docker
#   images.sh load     only the rest
#   images.sh tags     prints "NAME TAG" of what was loaded last; a tag stands for the image's content
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/step.sh"
. "$(dirname "$0")/lib/process.sh"
. "$(dirname "$0")/lib/engine.sh"
. "$(dirname "$0")/lib/mode.sh"
. "$(dirname "$0")/lib/rootfs.sh"
. "$(dirname "$0")/lib/archive.sh"
. "$(dirname "$0")/lib/base-image.sh"

# name, program
IMAGES=("operator kbnt-operator" "services kbnt" "e2e kbnt-strimzi-standin")
TARGET=${CARGO_TARGET_DIR:-$CACHE/target}
TAGS=$STATE/image-tags

compile() {
    local line name program programs=()
    for line in "${IMAGES[@]}"; do
        read -r name program <<<"$line"
        programs+=(--bin "$program")
    done
    # What is in the images, and no tool or test beside it; selected in the whole workspace, so that each dependency has the features
    # that the tests build it with, too. A little below the Kubernetes build in priority: the cluster takes a minute and a half
    # more after that one, mostly waiting, and both are to be there at the same time.
    step "compile the project" nice -n 2 "$REPO_DIR/e2e/cargo.sh" build --release --locked --workspace "${programs[@]}"
}

# tag_of BASE-ID PROGRAM: of everything that goes into the image.
tag_of() { key "$1" -- "$TARGET/release/$2" "$REPO_DIR/Dockerfile"; }

# build_image NAME:TAG PROGRAM
build_image() {
    local image=$1 program=$2 base=() context
    if docker image inspect "$image" >/dev/null 2>&1; then cached "image $image"; return; fi
    [ "$MODE" != built ] || base=(--build-arg "BASE=$BASE_IMAGE")
    context=$CACHE/tmp/context-$program
    rm -rf "$context" && mkdir -p "$context"
    ln "$TARGET/release/$program" "$context/" 2>/dev/null || cp "$TARGET/release/$program" "$context/"
    step "image $image" docker build --quiet --tag "$image" "${base[@]}" \
        --build-arg "BIN=$program" --file "$REPO_DIR/Dockerfile" "$context"
    only_image "$image"
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
    local line name program tag base_id=distroless made=()
    if [ "$MODE" = built ]; then
        build_base_image
        base_id=$(docker image inspect --format '{{.Id}}' "$BASE_IMAGE")
    fi
    rm -f "$TAGS.tmp"
    for line in "${IMAGES[@]}"; do
        read -r name program <<<"$line"
        tag=$(tag_of "$base_id" "$program")
        build_image "kbnt/$name:$tag" "$program"
        made+=("kbnt/$name:$tag")
        echo "$name $tag" >>"$TAGS.tmp"
    done
    [ -e "$STATE/cluster" ] || return 0
    if cmp -s "$TAGS.tmp" "$TAGS"; then
        cached "images in the node"
    else
        step "load images into the node" kind load docker-image --name "$CLUSTER_NAME" "${made[@]}"
        mv "$TAGS.tmp" "$TAGS"
    fi
}

use_mode "$(cluster_mode)"
if [ "${1:-}" = tags ]; then
    cat "$TAGS" 2>/dev/null
    exit
fi
[ "${1:-compile}" != compile ] || compile
if [ "${1:-load}" != load ] || [ "$MODE" = external ]; then exit 0; fi
[ -n "${KBNT_LOCKED:-}" ] || lock
mkdir -p "$CACHE"/{images,rootfs,tmp}
[ "$MODE" != built ] || ensure_engine
load
