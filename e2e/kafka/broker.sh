#!/usr/bin/env bash
# A Kafka broker of its own on loopback, for tests that need one and no cluster. Its data lie in DIR, and it keeps its
# port over restarts.
#   broker.sh start DIR   starts it, waits until it answers and prints its address
#   broker.sh pid DIR     prints its process id
#   broker.sh stop DIR    stops it in order
#   broker.sh kill DIR    kills it
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/archive.sh"
. "$(dirname "$0")/../cluster/lib/rootfs.sh"
. "$(dirname "$0")/../cluster/lib/kafka-image.sh"

[ $# -eq 2 ] || die "usage: broker.sh start|pid|stop|kill DIR"
DIR=$2
CONFIG=$DIR/server.properties
ADDRESS=$DIR/address
PID=$DIR/pid

answers() { (exec 3<>"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null; }
running() { [ -s "$PID" ] && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$(cat "$PID")/status"; }

# Two ports that nobody listens on.
free_ports() {
    local port
    for port in $(shuf -i 20000-29000 -n 50); do
        if ! answers "127.0.0.1:$port" && ! answers "127.0.0.1:$((port + 1))"; then
            echo "$port"
            return
        fi
    done
    die "no free port"
}

tool() { java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$KAFKA_DIR/config/log4j2.xml" \
    -cp "$(kafka_jars)/*" "$@"; }

configure() {
    local port
    port=$(free_ports)
    mkdir -p "$DIR"
    sed -e "s|^controller.quorum.voters=.*|controller.quorum.voters=0@127.0.0.1:$((port + 1))|" \
        -e "s|^listeners=.*|listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))|" \
        -e "s|^advertised.listeners=.*|advertised.listeners=PLAINTEXT://127.0.0.1:$port|" \
        -e "s|^log.dirs=.*|log.dirs=$DIR/data|" "$KAFKA_DIR/config/server.properties" >"$CONFIG"
    tool kafka.tools.StorageTool format --ignore-formatted --cluster-id a2JudC10ZXN0cy1icm9rZXI --config "$CONFIG" >&2
    echo "127.0.0.1:$port" >"$ADDRESS"
}

start() {
    [ -d "$(kafka_jars)" ] || { mkdir -p "$CACHE/kafka"; fetch_kafka_jars "$(kafka_jars)"; }
    [ -s "$ADDRESS" ] || configure
    if ! running; then
        setsid java -Xms256m -Xmx512m -Dkafka.log.level=INFO -Dlog4j2.configurationFile="$KAFKA_DIR/config/log4j2.xml" \
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
*) die "usage: broker.sh start|pid|stop|kill DIR" ;;
esac
