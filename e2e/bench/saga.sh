#!/usr/bin/env bash
# make bench-saga: one broker, all six services as processes, and orders over HTTP at a steady rate, a fifth of which end in
# compensation; then the broker's own ProducerPerformance with the very records that the services wrote, to compare with. Nothing
# else should run meanwhile: the machine's cores are what is measured.
# The rate rises for WARM_UP=N seconds, while the broker compiles itself, and is then RATE=N orders a second for SECONDS_OF_LOAD=N,
# which are measured. Then AGAIN=N orders of before, drawn from all, are placed again under their keys at the same rate, and OVERLOAD=N times as many orders come for
# 20 s as at the rate, and the usual rate for 20 s after that. With STATE=disk the services keep on disk what they keep in a cluster.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/built.sh"
here=$(cd "$(dirname "$0")" && pwd)
broker=$here/../kafka/broker.sh
scratch=$(mktemp -d)
rate=${RATE:-3000}
seconds=${SECONDS_OF_LOAD:-60}
warm_up=${WARM_UP:-30}
again=${AGAIN:-0}
overload=${OVERLOAD:-1}
state=${STATE:-memory}
roles=(user inventory payment order notification audit)
declare -A process=() url=() before=()
cd "$REPO_DIR"

finish() {
    local role
    for role in "${!process[@]}"; do kill "${process[$role]}" 2>/dev/null || true; done
    wait
    "$broker" stop "$scratch" >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap finish EXIT

kafka() { "$broker" tool "$scratch" "org.apache.kafka.tools.$1" "${@:2}"; }

make_topics() {
    local wanted
    wanted=$(jq -nc '{"order-events": 3, "user-events": 3, "inventory-events": 3, "payment-events": 3, "notification-events": 3,
        "audit-logs": 1, "application-logs": 2} | to_entries |
        map({name: .key, partitions: .value, replicas: 1, configs: {"max.message.bytes": "4194304"}})')
    "$kbnt" topics ensure --bootstrap-servers "$bootstrap" --wanted "$wanted" >/dev/null
}

# on_disk ROLE: the options of a service that keeps on disk what it keeps in a cluster.
on_disk() {
    case $1 in
        inventory) echo "--snapshot-dir $scratch/$1 --state-dir $scratch/closed-orders" ;;
        user | audit) echo "--snapshot-dir $scratch/$1" ;;
        order) echo "--history-dir $scratch/$1" ;;
    esac
}

# open ROLE: starts a service; sets its process.
open() {
    local disk=()
    [ "$state" = memory ] || read -ra disk <<<"$(on_disk "$1")"
    "$kbnt" service "$1" --port 0 --bootstrap-servers "$bootstrap" --allow-unknown-users --log-format json \
        --payment-simulated --payment-test-tokens "${disk[@]}" >"$scratch/$1.log" &
    process[$1]=$!
}

# await ROLE: waits until it is ready; sets its url.
await() {
    local log=$scratch/$1.log give_up=$((EPOCHSECONDS + 60))
    until url[$1]=$(jq -r 'select(.operation == "started") | .payload.address | sub(".*:"; "http://127.0.0.1:")' "$log" 2>/dev/null) &&
        [ -n "${url[$1]}" ] && curl -sf "${url[$1]}/readyz" >/dev/null; do
        kill -0 "${process[$1]}" 2>/dev/null || die "$1 ended: $(tail -3 "$log")"
        [ "$EPOCHSECONDS" -lt "$give_up" ] || die "$1 does not become ready"
        sleep 0.1
    done
}

# What a formula comes to, in this format.
reckon() { awk "BEGIN { printf \"$1\", $2 }"; }

# Seconds of processor time that a process has used, and the most memory that it has had, in MiB.
used() { awk -v tick="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print ($12 + $13) / tick }' "/proc/$1/stat"; }
peak() { awk '/^VmHWM/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }

# Records in all topics of the services.
records() { kafka GetOffsetShell --topic-partitions '.*-(events|logs)' | awk -F: '{ sum += $3 } END { print sum }'; }

# Records a second that ProducerPerformance writes, with the settings of our own producers.
own_rate() {
    local payloads=$scratch/payloads
    kafka consumer.ConsoleConsumer --include '.*-events|audit-logs' --from-beginning --max-messages 20000 >"$payloads" 2>/dev/null
    "$kbnt" topics ensure --bootstrap-servers "$bootstrap" \
        --wanted '[{"name": "performance", "partitions": 3, "replicas": 1, "configs": {}}]' >/dev/null
    for _ in warm-up measured; do
        kafka ProducerPerformance --topic performance --payload-file "$payloads" --num-records 1000000 --throughput -1 \
            --command-property acks=all compression.type=lz4 linger.ms=5 batch.size=786432 | tail -1
    done | awk -F'[ ,]+' '{ for (i = 2; i < NF; i++) if ($i == "records/sec") rate = $(i - 1) } END { print rate }'
}

"$here/../cluster/prerequisites.sh" built
selection=(build --quiet --bin kbnt --example steady)
kbnt=$(built kbnt "${selection[@]}")
steady=$(built steady "${selection[@]}")
bootstrap=$("$broker" start "$scratch" 2>/dev/null)
make_topics
for role in "${roles[@]}"; do open "$role"; done
for role in "${roles[@]}"; do await "$role"; done
process_of() { if [ "$1" = broker ]; then "$broker" pid "$scratch"; else echo "${process[$1]}"; fi; }
for role in "${roles[@]}" broker; do before[$role]=$(used "$(process_of "$role")"); done
say "==> $rate orders a second over HTTP for $seconds s, after $warm_up s in which the rate rises ($(elapsed))"
first=$(records)
"$steady" --url "${url[order]}" --stock-url "${url[inventory]}" --rate "$rate" --seconds "$seconds" --warm-up "$warm_up" \
    --again "$again" --overload "$overload" || failed=yes
# The audit trail is a moment behind.
ended=$EPOCHREALTIME
last=$(records)
until now=$(records) && [ "$now" = "$last" ]; do last=$now; done
say "the audit trail was whole $(reckon %.0f "$EPOCHREALTIME - $ended") s later"
for role in "${roles[@]}" broker; do
    pid=$(process_of "$role")
    printf '%14s %6.1f s of a core, at most %s MiB\n' "$role" "$(reckon %.1f "$(used "$pid") - ${before[$role]}")" "$(peak "$pid")"
done
[ -z "${failed:-}" ] || die "not all orders ended as they should"
[ "$again$overload" = 01 ] || exit 0
# While the rate rises there are half as many orders as in the same time later.
written=$(reckon %.0f "($last - $first) / ($warm_up / 2 + $seconds)")
say "$((last - first)) records, which is $written a second at the full rate"
own=$(own_rate)
say "ProducerPerformance on the same broker, with the same records, alone: $own a second; ratio $(reckon %.3f "$written / $own")"
