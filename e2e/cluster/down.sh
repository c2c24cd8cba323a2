#!/usr/bin/env bash
# Removes every trace of the cluster: containers, engine, namespaces, mounts, control groups, processes and the state
# folder; also after a kill -9 of anything at any moment. The cache of what was built stays.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/process.sh"
. "$(dirname "$0")/lib/engine.sh"
. "$(dirname "$0")/lib/mode.sh"
. "$(dirname "$0")/lib/programs.sh"

# Every step of an up.sh that still runs, or of one that was killed, carries a mark in its environment.
end_jobs() {
    local file pid engine marked
    engine=$(alive "$ENGINE_PID" || true)
    mapfile -t marked < <(grep -lzsxF "KBNT_JOB=$STATE" /proc/[0-9]*/environ)
    for file in "${marked[@]}"; do
        pid=${file#/proc/}
        pid=${pid%/environ}
        # The engine and what runs in it are marked, too; it is stopped in order afterwards.
        [ "$pid" != "$engine" ] || continue
        [ "$(readlink "/proc/$pid/ns/pid")" = "$(readlink /proc/self/ns/pid)" ] || continue
        kill -KILL "$pid" 2>/dev/null || true
    done
}

remove_docker_cluster() {
    local kind
    kind=$(program_path kind)
    [ -x "$kind" ] || return 0
    "$kind" delete cluster --name "$CLUSTER_NAME" --kubeconfig "$KUBECONFIG_FILE"
}

mode=$(cat "$MODE_FILE" 2>/dev/null || echo built)
say "==> down ..."
end_jobs
lock
use_mode "$mode"
[ "$MODE" != docker ] || remove_docker_cluster
engine_stop
# Once more: a script that was between two steps may have begun the next.
end_jobs
remove_half_made
rm -rf "$STATE"
say "    down: done in $(elapsed)"
