#!/usr/bin/env bash
# A PostgreSQL server of its own on loopback, for tests: the distribution's. Its data lie in DIR/data. It keeps its address and its data
# over restarts, and lets in who has the password of its address, with TLS or without. DIR/ca.crt signs its certificate.
#   server.sh install     makes sure that it is installed
#   server.sh start DIR   starts it, waits until it answers and prints the URL of a database
#   server.sh kill DIR    kills it
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/process.sh"
cd "$(dirname "$0")"

# The newest one that is installed.
bin() { find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null | sort -V | tail -n 1 | xargs -r dirname || true; }

installed() {
    exec 8>"$CACHE/postgres.lock"
    flock 8
    [ -n "$(bin)" ] || "$CLUSTER_DIR/prerequisites.sh" database >&2
}

# It refuses to work for root.
as_other=()
[ "$(id -u)" != 0 ] || as_other=(setpriv --reuid postgres --regid postgres --clear-groups)

# An authority, and a certificate by it for this address, with its key.
certify() {
    local extensions="subjectAltName=IP:$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=ca \
        -keyout "$dir/ca.key" -out "$dir/ca.crt" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=database \
        -keyout "$dir/server.key" -out "$dir/server.csr" 2>/dev/null
    openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -days 30 \
        -extfile <(echo "$extensions") -out "$dir/server.crt" 2>/dev/null
}

prepare() {
    local new=$dir/data.new address
    rm -rf "$new"
    mkdir -p "$new"
    # The test's own directory may be closed to others.
    [ "$(id -u)" != 0 ] || { chmod a+x "$dir"; chown postgres "$new"; }
    install -m 644 /dev/stdin "$dir/password" <<<"$password"
    "${as_other[@]}" "$bin/initdb" --pgdata "$new" --username shop --pwfile "$dir/password" --auth scram-sha-256 \
        --encoding UTF8 --no-locale --no-sync >>"$dir/log" 2>&1 || die "initdb fails: see $dir/log"
    # A loopback address of its own: any number can run side by side.
    address="127.$((RANDOM % 254 + 1)).$((RANDOM % 256)).$((RANDOM % 254 + 1))"
    echo "$address" >"$dir/address"
    certify "$address"
    install -m 600 ${as_other:+--owner postgres} "$dir/server.crt" "$dir/server.key" "$new"
    mv "$new" "$dir/data"
}

answers() { PGPASSWORD=$password "$bin/psql" --host "$1" --username shop --dbname postgres --command 'SELECT' >/dev/null 2>&1; }

launch() {
    # What a killed server leaves behind is enough: only the machine's own crash would lose what is not synchronized.
    "${as_other[@]}" setsid "$bin/postgres" -D "$dir/data" -c listen_addresses="$1" -c unix_socket_directories= -c fsync=off -c ssl=on \
        >>"$dir/log" 2>&1 </dev/null &
    record $! "$dir/pid"
}

start() {
    (installed)
    bin=$(bin)
    password=the-password-of-the-tests
    mkdir -p "$dir"
    [ -d "$dir/data" ] || prepare
    local address deadline=$((SECONDS + 60))
    address=$(cat "$dir/address")
    until answers "$address"; do
        # Processes of one that was killed may hold its memory for a moment.
        alive "$dir/pid" >/dev/null || launch "$address"
        [ $SECONDS -lt $deadline ] || die "the database does not answer; see $dir/log"
        sleep 0.2
    done
    echo "postgres://shop:$password@$address:5432/postgres"
}

destroy() {
    local pid
    pid=$(alive "$dir/pid") || return 0
    kill -KILL "$pid"
    end "$dir/pid"
}

dir=${2:-}
case ${1:-}${dir:+ DIR} in
install) installed ;;
"start DIR") start ;;
"kill DIR") destroy ;;
*) die "usage: server.sh install, server.sh start|kill DIR" ;;
esac
