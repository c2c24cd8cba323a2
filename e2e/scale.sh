#!/usr/bin/env bash
# make scale: what the operator takes with N VirtualStocks and N OrderWorkflows on an API server, and what a controller takes that
# does the same with controller-runtime. For times that mean something, nothing else should run meanwhile.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
here=$(cd "$(dirname "$0")" && pwd)

beside=$("$here/bench/controller-runtime/build.sh")
KBNT_SCALE=${1:?how many} KBNT_SCALE_BESIDE=$beside \
    exec "$here/cargo.sh" test --release --locked --workspace --test apiserver
