#!/usr/bin/env bash
# Builds the controller that the operator is compared with, once per content, and prints where the program lies.
set -euo pipefail
. "$(dirname "$0")/../../cluster/lib/common.sh"
cd "$(dirname "$0")"

mapfile -t sources < <(find . -name '*.go' -o -name 'go.*' | sort)
program=$CACHE/bin/controller-runtime-$(key -- "${sources[@]}")/controller
export GOMODCACHE=$CACHE/go/mod GOCACHE=$CACHE/go/build GOFLAGS=-modcacherw GOTOOLCHAIN=local CGO_ENABLED=0
if [ ! -x "$program" ]; then
    mkdir -p "$(dirname "$program")"
    go vet ./... >&2
    go build -trimpath -ldflags '-s -w' -o "$program.$$" . >&2
    mv "$program.$$" "$program"
fi
echo "$program"
