#!/usr/bin/env bash
# The first process of the namespaces (network, mount, process) in which the Docker engine runs. When it ends, for
# whatever reason, the kernel ends everything in them and drops every mount and interface.
#   init.sh CONFIG_FILE
set -euo pipefail
ip link set lo up
dockerd --config-file "$1" &
engine=$!
trap 'kill -TERM "$engine" 2>/dev/null || true' TERM
# As process 1 it also inherits orphans, which bash reaps. A trapped signal ends `wait` early, hence the loop.
while kill -0 "$engine" 2>/dev/null; do wait "$engine" || true; done
