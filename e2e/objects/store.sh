#!/usr/bin/env bash
# An object store with the interface of S3 of its own on loopback, for tests: versitygw, pinned in go.mod. Its data lie in DIR/buckets: a
# folder there is a bucket. It keeps its address over restarts, and lets in who has AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of its start.
#   store.sh build       makes sure that it is built
#   store.sh start DIR   starts it, waits until it answers and prints its address
#   store.sh kill DIR    kills it
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/process.sh"
cd "$(dirname "$0")"

program=$CACHE/bin/versitygw-$(key -- go.mod go.sum)/versitygw

build() {
    mkdir -p "$(dirname "$program")"
    exec 8>"$CACHE/bin/versitygw.lock"
    flock 8
    [ ! -x "$program" ] || return 0
    local new
    new=$(temporary "$program")
    GOMODCACHE=$CACHE/go/mod GOCACHE=$CACHE/go/build GOFLAGS=-modcacherw GOTOOLCHAIN=local CGO_ENABLED=0 \
        go build -trimpath -ldflags '-s -w' -o "$new" github.com/versity/versitygw/cmd/versitygw >&2
    mv "$new" "$program"
}

answers() { (exec 3<>"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null; }

start() {
    [ -x "$program" ] || (build)
    mkdir -p "$dir/buckets"
    # A loopback address of its own: any number can run side by side.
    [ -s "$dir/address" ] || echo "127.$((RANDOM % 254 + 1)).$((RANDOM % 256)).$((RANDOM % 254 + 1)):9000" >"$dir/address"
    local address deadline=$((SECONDS + 60))
    address=$(cat "$dir/address")
    if ! alive "$dir/pid" >/dev/null; then
        ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY \
            setsid "$program" --port "$address" --quiet posix "$dir/buckets" >>"$dir/log" 2>&1 </dev/null &
        record $! "$dir/pid"
    fi
    until answers "$address"; do
        alive "$dir/pid" >/dev/null || die "the store has ended; its last words are in $dir/log"
        [ $SECONDS -lt $deadline ] || die "the store does not answer; see $dir/log"
        sleep 0.1
    done
    echo "http://$address"
}

# Its threads may hold its sockets for a moment longer than it lives.
destroy() {
    local pid deadline=$((SECONDS + 30))
    pid=$(alive "$dir/pid") || return 0
    kill -KILL "$pid"
    end "$dir/pid"
    while answers "$(cat "$dir/address")"; do
        [ $SECONDS -lt $deadline ] || die "somebody else answers at $(cat "$dir/address")"
        sleep 0.05
    done
}

dir=${2:-}
case ${1:-}${dir:+ DIR} in
build) build ;;
"start DIR") start ;;
"kill DIR") destroy ;;
*) die "usage: store.sh build, store.sh start|kill DIR" ;;
esac
