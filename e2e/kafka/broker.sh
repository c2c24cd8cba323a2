#!/usr/bin/env bash
# A Kafka broker of its own on loopback, for tests that need one and no cluster. Its data lie in DIR, and it keeps its
# port over restarts. KBNT_BROKER_HOST is an address to listen on instead of 127.0.0.1; KBNT_BROKER_ADVERTISED=HOST:PORT is where clients
# are told that it is, instead of where it is.
#   broker.sh start DIR   starts it, waits until it answers and prints its address
#   broker.sh pid DIR     prints its process id
#   broker.sh stop DIR    stops it in order
#   broker.sh kill DIR    kills it
#   broker.sh rewind DIR GROUP   sets a consumer group without members back to the first records
#   broker.sh scram DIR NAME PASSWORD   lets NAME in with this password, and with no other
#   broker.sh tool DIR CLASS ARGUMENT...   runs one of Kafka's own tools on it
#   broker.sh acl DIR ARGUMENT...       changes rights, as kafka-acls.sh does with these arguments
# With KBNT_BROKER_SECURE=yes it has two more doors, whose addresses are in DIR/scram and DIR/mtls: TLS with SCRAM-SHA-512, and
# TLS with a client certificate. DIR/tls holds what clients need: ca.crt, and user.crt and user.key of a user of that name.
# KBNT_BROKER_PROPERTIES are further lines of its configuration.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/archive.sh"
. "$(dirname "$0")/../cluster/lib/rootfs.sh"
. "$(dirname "$0")/../cluster/lib/kafka-image.sh"

USAGE="usage: broker.sh start|pid|stop|kill DIR, broker.sh rewind DIR GROUP, broker.sh scram DIR NAME PASSWORD, broker.sh acl DIR ARGUMENT..., broker.sh tool DIR CLASS ARGUMENT..."
[ $# -ge 2 ] || die "$USAGE"
DIR=$2
HOST=${KBNT_BROKER_HOST:-127.0.0.1}
CONFIG=$DIR/server.properties
ADDRESS=$DIR/address
PID=$DIR/pid

answers() { (exec 3<>"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null; }
running() { [ -s "$PID" ] && grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$(cat "$PID")/status"; }

# The first of four ports that nobody listens on.
free_ports() {
    local port
    for port in $(shuf -i 20000-29000 -n 50); do
        if ! answers "$HOST:$port" && ! answers "$HOST:$((port + 1))" &&
            ! answers "$HOST:$((port + 2))" && ! answers "$HOST:$((port + 3))"; then
            echo "$port"
            return
        fi
    done
    die "no free port"
}

tool() { java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$KAFKA_DIR/config/log4j2.xml" \
    -cp "$(kafka_jars)/*" "$@"; }

# authority NAME: a certificate that signs others.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$1" \
        -keyout "$DIR/tls/$1.key" -out "$DIR/tls/$1.crt" 2>/dev/null
}

# signed NAME BY EXTENSIONS: a certificate by an authority, and its key.
signed() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
        -keyout "$DIR/tls/$1.key" -out "$DIR/tls/$1.csr" 2>/dev/null
    openssl x509 -req -in "$DIR/tls/$1.csr" -CA "$DIR/tls/$2.crt" -CAkey "$DIR/tls/$2.key" -days 30 \
        -extfile <(printf '%s\n' "$3") -out "$DIR/tls/$1.crt" 2>/dev/null
}

# Two doors that are locked, behind the open one that this script itself uses.
secure() {
    local port=$1
    mkdir -p "$DIR/tls"
    authority ca
    authority clients-ca
    signed broker ca "subjectAltName=IP:$HOST"
    signed user clients-ca extendedKeyUsage=clientAuth
    cat "$DIR/tls/broker.key" "$DIR/tls/broker.crt" >"$DIR/tls/broker.pem"
    sed -i -e "s|^listeners=.*|&,SCRAM://$HOST:$((port + 2)),MTLS://$HOST:$((port + 3))|" \
        -e "s|^advertised.listeners=.*|&,SCRAM://$HOST:$((port + 2)),MTLS://$HOST:$((port + 3))|" \
        -e "s|^listener.security.protocol.map=.*|&,SCRAM:SASL_SSL,MTLS:SSL|" "$CONFIG"
    cat >>"$CONFIG" <<END
ssl.keystore.type=PEM
ssl.keystore.location=$DIR/tls/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=$DIR/tls/clients-ca.crt
listener.name.mtls.ssl.client.auth=required
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
END
    echo "$HOST:$((port + 2))" >"$DIR/scram"
    echo "$HOST:$((port + 3))" >"$DIR/mtls"
}

# A tool that asks the broker.
admin() { tool "$1" --bootstrap-server "$(cat "$ADDRESS")" "${@:2}" >&2; }

scram() {
    admin kafka.admin.ConfigCommand --alter --entity-type users --entity-name "$1" \
        --add-config "SCRAM-SHA-512=[password=$2]"
}

rewind() {
    admin org.apache.kafka.tools.consumer.group.ConsumerGroupCommand \
        --group "$1" --reset-offsets --to-earliest --all-topics --execute
}

# A broker that was killed may register again once its session is over: that must not take long here.
configure() {
    local port
    port=$(free_ports)
    mkdir -p "$DIR"
    sed -e "s|^controller.quorum.voters=.*|controller.quorum.voters=0@$HOST:$((port + 1))|" \
        -e "s|^listeners=.*|listeners=PLAINTEXT://$HOST:$port,CONTROLLER://$HOST:$((port + 1))|" \
        -e "s|^advertised.listeners=.*|advertised.listeners=PLAINTEXT://${KBNT_BROKER_ADVERTISED:-$HOST:$port}|" \
        -e "s|^broker.session.timeout.ms=.*|broker.session.timeout.ms=6000|" \
        -e "s|^log.dirs=.*|log.dirs=$DIR/data|" "$KAFKA_DIR/config/server.properties" >"$CONFIG"
    [ -z "${KBNT_BROKER_SECURE:-}" ] || secure "$port"
    [ -z "${KBNT_BROKER_PROPERTIES:-}" ] || printf '%s\n' "$KBNT_BROKER_PROPERTIES" >>"$CONFIG"
    tool kafka.tools.StorageTool format --ignore-formatted --cluster-id a2JudC10ZXN0cy1icm9rZXI --config "$CONFIG" >&2
    echo "$HOST:$port" >"$ADDRESS"
}

start() {
    [ -d "$(kafka_jars)" ] || { mkdir -p "$CACHE/kafka"; fetch_kafka_jars "$(kafka_jars)"; }
    [ -s "$ADDRESS" ] || configure
    if ! running; then
        setsid java -Xms512m -Xmx512m -XX:+UseParallelGC -Dkafka.log.level=INFO -Dlog4j2.configurationFile="$KAFKA_DIR/config/log4j2.xml" \
            -cp "$(kafka_jars)/*" kafka.Kafka "$CONFIG" >>"$DIR/log" 2>&1 </dev/null &
        echo $! >"$PID"
    fi
    local deadline=$((SECONDS + 120))
    until answers "$(cat "$ADDRESS")"; do
        running || die "the broker has ended; its last words are in $DIR/log"
        [ $SECONDS -lt $deadline ] || die "the broker does not answer; see $DIR/log"
        sleep 0.2
    done
    cat "$ADDRESS"
}

# Sends the signal, waits until it is gone, and insists after half a minute.
end() {
    running || return 0
    kill "-$1" "$(cat "$PID")"
    local deadline=$((SECONDS + 30))
    while running; do
        [ $SECONDS -lt $deadline ] || kill -KILL "$(cat "$PID")"
        sleep 0.1
    done
}

case $1 in
start) start ;;
pid) running && cat "$PID" ;;
stop) end TERM ;;
kill) end KILL ;;
rewind) rewind "$3" ;;
scram) scram "$3" "$4" ;;
tool) tool "$3" --bootstrap-server "$(cat "$ADDRESS")" "${@:4}" ;;
acl) admin org.apache.kafka.tools.AclCommand "${@:3}" ;;
*) die "$USAGE" ;;
esac
