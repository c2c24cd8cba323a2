# Running a command where the cluster is: in the network namespace of the node, where every Service and pod address
# works, with the cluster's DNS. Needs engine.sh and mode.sh.
# shellcheck shell=bash

# Network namespace of the node, as a file; our own engine has it in its mount namespace.
node_namespace() {
    local file prefix=
    file=$(docker inspect --format '{{.NetworkSettings.SandboxKey}}' "$NODE")
    [ "$MODE" != built ] || prefix=/proc/$(engine_init)/root
    echo "$prefix$file"
}

# inside COMMAND...: replaces this shell.
inside() {
    [ "$MODE" != external ] || exec "$@"
    local namespace
    namespace=$(node_namespace 2>/dev/null) || die "no cluster is up: make up"
    echo "hosts: files dns" >"$STATE/nsswitch.conf"
    printf 'nameserver 10.96.0.10\nsearch svc.cluster.local cluster.local\noptions ndots:5\n' >"$STATE/resolv.conf"
    # shellcheck disable=SC2016 # expanded by the inner shell
    exec nsenter --net="$namespace" unshare --mount --propagation private bash -c '
        mount --bind "$1/resolv.conf" /etc/resolv.conf
        mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
        shift
        exec "$@"' - "$STATE" "$@"
}
