# A Docker engine of our own, for machines that have none: in network, mount and process namespaces of its own, so
# that nothing can leave the machine and nothing can be left behind. Needs process.sh and
# step.sh.
# shellcheck shell=bash

ENGINE_PID=$STATE/engine.pid
# Copies, so that a checkout can be moved or removed while its cluster is up.
ENGINE_PROGRAMS=$STATE/engine-programs
ENGINE_SOCKET=$STATE/docker.sock
# Images that were loaded stay here between `down` and `up`. Without the mark the engine was not stopped
# in order, and the folder is thrown away: the image archives in the cache make it again.
ENGINE_DATA=$CACHE/docker
ENGINE_CLEAN=$CACHE/docker.clean
# Control group below which all containers are. One per cache folder, so that two users do not meet.
ENGINE_CGROUP=kbnt-$(key "$CACHE")

has_capability_sys_resource() {
    local effective
    effective=$(awk '$1 == "CapEff:" { print $2 }' /proc/self/status)
    [ $((0x$effective >> 24 & 1)) = 1 ]
}

engine_config() {
    local runtime=runc
    has_capability_sys_resource || runtime=runc-without-sys-resource
    jq -n --arg socket "unix://$ENGINE_SOCKET" --arg data "$ENGINE_DATA" --arg state "$STATE" \
        --arg cgroup "/$ENGINE_CGROUP" --arg runtime "$runtime" --arg programs "$ENGINE_PROGRAMS" '{
            hosts: [$socket], "data-root": $data, "exec-root": "\($state)/engine", pidfile: "\($state)/dockerd.pid",
            "storage-driver": "overlay2", "cgroup-parent": $cgroup, "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "oom-score-adjust": 0, bip: "10.201.0.1/24",
            "default-address-pools": [{base: "10.202.0.0/16", size: 24}],
            "default-runtime": $runtime,
            runtimes: {"runc-without-sys-resource": {path: "\($programs)/runc-without-sys-resource"}}
        }'
}

engine_start() {
    local config=$STATE/daemon.json unshare deadline=$((EPOCHSECONDS + 60))
    if [ -e "$ENGINE_DATA" ] && [ ! -e "$ENGINE_CLEAN" ]; then
        # Thousands of files: out of the way at once, deleted beside the work.
        mkdir -p "$CACHE/tmp"
        mv "$ENGINE_DATA" "$CACHE/tmp/docker-$BASHPID"
        rm -rf "$CACHE/tmp/docker-$BASHPID" 9>&- &
    fi
    rm -rf "$ENGINE_CLEAN" "$ENGINE_SOCKET" "$STATE/engine" "$STATE/dockerd.pid"
    rm -rf "$ENGINE_PROGRAMS" && cp -r "$CLUSTER_DIR/engine" "$ENGINE_PROGRAMS"
    engine_config >"$config"
    # Descriptor 9 is the lock of the script that starts it; the engine must not hold it.
    KBNT_JOB=$STATE setsid unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
        "$ENGINE_PROGRAMS/init.sh" "$config" >"$LOGS/dockerd.log" 2>&1 </dev/null 9>&- &
    unshare=$!
    record "$unshare" "$ENGINE_PID"
    until docker version >/dev/null 2>&1; do
        if [ "$EPOCHSECONDS" -ge "$deadline" ] || ! alive "$ENGINE_PID" >/dev/null; then
            tail "$LOGS/dockerd.log"
            return 1
        fi
        sleep 0.1
    done
}

# Process id of init.sh, the only child of unshare, as this namespace counts.
engine_init() {
    local unshare
    unshare=$(alive "$ENGINE_PID") && pgrep -P "$unshare"
}

ensure_engine() {
    if engine_init >/dev/null && timeout 15 docker version >/dev/null 2>&1; then return; fi
    step "clear what is left of another engine" engine_stop
    step "Docker engine" engine_start
}

# engine_stop: in order if it answers, else by the kernel's hand. Either way all processes and mounts are gone.
engine_stop() {
    local init
    if init=$(engine_init); then
        if timeout 30 docker version >/dev/null 2>&1; then
            # shellcheck disable=SC2046 # a list of ids
            timeout 60 docker rm -f -v $(docker ps -aq) >/dev/null 2>&1 || true
            docker network prune -f >/dev/null 2>&1 || true
            docker volume prune -f >/dev/null 2>&1 || true
            if [ -z "$(docker ps -aq)" ]; then
                kill -TERM "$init"
                timeout 20 tail -s 0.05 --pid="$init" -f /dev/null && touch "$ENGINE_CLEAN"
            fi
        fi
        kill -KILL "$init" 2>/dev/null || true
    fi
    end "$ENGINE_PID"
    engine_remove_cgroups
}

engine_remove_cgroups() {
    local root
    for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -d "$root/$ENGINE_CGROUP" ] || continue
        # Deepest first. Groups empty themselves a moment after the last process has ended.
        for _ in $(seq 50); do
            find "$root/$ENGINE_CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null || true
            [ -d "$root/$ENGINE_CGROUP" ] || break
            sleep 0.1
        done
    done
}

# only_image NAME:TAG: forgets the images of that name with other tags, except one that a container still uses.
only_image() {
    docker image ls --format '{{.Repository}}:{{.Tag}}' "${1%:*}" | { grep -vxF "$1" || true; } |
        xargs --no-run-if-empty docker rmi >/dev/null 2>&1 || true
}
