#!/usr/bin/env bash
# etcd and kube-apiserver alone, RBAC on, no controllers and no node: enough for the operator's own tests.
#   apiserver.sh start DIR   starts them with their data in DIR and prints the absolute path of an admin kubeconfig
#   apiserver.sh stop DIR    ends them and removes DIR
# With KBNT_AUDIT_POLICY=FILE, start has it keep DIR/audit.log by that policy.
# Each DIR has a loopback address of its own, so any number can run side by side on the usual ports.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/process.sh"
. "$(dirname "$0")/lib/programs.sh"

stop() {
    end "$1/apiserver.pid"
    end "$1/etcd.pid"
    rm -rf -- "$1/etcd" "$1/tls" "$1/kubeconfig" "$1/tokens.csv" "$1/service-account.key" "$1"/*.log
    rmdir -- "$1" 2>/dev/null || true
}

start_etcd() {
    local dir=$1 address=$2
    setsid "$(program_path etcd)" --data-dir "$dir/etcd" --unsafe-no-fsync --log-level error \
        --listen-client-urls "http://$address:2379" --advertise-client-urls "http://$address:2379" \
        --listen-peer-urls "http://$address:2380" --initial-advertise-peer-urls "http://$address:2380" \
        --initial-cluster "default=http://$address:2380" >"$dir/etcd.log" 2>&1 </dev/null &
    record $! "$dir/etcd.pid"
}

start_apiserver() {
    local dir=$1 address=$2 audit=()
    [ -z "${KBNT_AUDIT_POLICY:-}" ] ||
        audit=(--audit-policy-file "$KBNT_AUDIT_POLICY" --audit-log-path "$dir/audit.log" --audit-log-maxsize 4096)
    # It makes its own serving certificate (and a CA that signs it) in --cert-dir. The ServiceAccount admission plugin
    # waits for a controller that does not run here.
    setsid "$(program_path kube-apiserver)" --etcd-servers "http://$address:2379" --bind-address "$address" \
        --cert-dir "$dir/tls" --token-auth-file "$dir/tokens.csv" --authorization-mode RBAC \
        --service-account-issuer https://kubernetes.default.svc --service-cluster-ip-range 10.96.0.0/16 \
        --service-account-key-file "$dir/service-account.key" \
        --service-account-signing-key-file "$dir/service-account.key" \
        --disable-admission-plugins ServiceAccount --endpoint-reconciler-type none "${audit[@]}" \
        >"$dir/apiserver.log" 2>&1 </dev/null &
    record $! "$dir/apiserver.pid"
}

write_kubeconfig() {
    local dir=$1 address=$2 token=$3
    cat >"$dir/kubeconfig" <<KUBECONFIG
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://$address:6443", certificate-authority: "$dir/tls/apiserver.crt"}}]
users: [{name: admin, user: {token: "$token"}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
KUBECONFIG
}

# Up to 2 minutes on a busy machine, and not longer than both processes live.
wait_ready() {
    local dir=$1 address=$2 token=$3 deadline=$((EPOCHSECONDS + 120))
    until curl -sf --noproxy '*' --cacert "$dir/tls/apiserver.crt" -H "Authorization: Bearer $token" \
        -o /dev/null "https://$address:6443/readyz" 2>/dev/null; do
        alive "$dir/etcd.pid" >/dev/null && alive "$dir/apiserver.pid" >/dev/null || return 1
        [ "$EPOCHSECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

start() {
    local dir=$1 address token
    "$CLUSTER_DIR/go.sh" etcd kube-apiserver
    umask 077
    stop "$dir"
    mkdir -p "$dir"
    address=127.$((RANDOM % 254 + 1)).$((RANDOM % 256)).$((RANDOM % 254 + 1))
    token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    echo "$token,admin,admin,system:masters" >"$dir/tokens.csv"
    openssl genrsa -out "$dir/service-account.key" 2048 2>/dev/null
    start_etcd "$dir" "$address"
    start_apiserver "$dir" "$address"
    write_kubeconfig "$dir" "$address" "$token"
    if ! wait_ready "$dir" "$address" "$token"; then
        tail -n 20 "$dir/etcd.log" "$dir/apiserver.log" >&2
        stop "$dir"
        die "the API server in $dir does not become ready"
    fi
    echo "$dir/kubeconfig"
}

[ $# -eq 2 ] || die "usage: apiserver.sh start|stop DIR"
case $1 in
start | stop) "$1" "$(realpath -m -- "$2")" ;;
*) die "usage: apiserver.sh start|stop DIR" ;;
esac
