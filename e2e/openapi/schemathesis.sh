#!/usr/bin/env bash
# Whether `kbnt serve` keeps to what its description says: schemathesis makes requests from that description, good ones and
# bad ones, and looks whether each is answered as described. 0 failures, in a bounded time.
#   schemathesis.sh [KBNT]: the program; without, it is built.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/python.sh"
here=$(cd "$(dirname "$0")" && pwd)
seconds=${KBNT_SCHEMATHESIS_SECONDS:-90}
scratch=$(mktemp -d)

finish() {
    if [ -n "${shop:-}" ]; then
        kill "$shop" 2>/dev/null || true
        wait "$shop" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap finish EXIT

python=$(python_programs schemathesis "$here/requirements.txt")

# exec all the way, so that the process is the program's.
if [ -n "${1:-}" ]; then program=("$1"); else program=("$here/../cargo.sh" run --release --locked --quiet --bin kbnt --); fi
"${program[@]}" serve --port 0 --allow-unknown-users --log-format json >"$scratch/serve.log" &
shop=$!
give_up=$((EPOCHSECONDS + 60))
until url=$(jq -r 'select(.operation == "started") | "http://" + .payload.address' "$scratch/serve.log" 2>/dev/null) && [ -n "$url" ]; do
    kill -0 "$shop" 2>/dev/null || die "kbnt serve ended: $(tail -3 "$scratch/serve.log")"
    [ "$EPOCHSECONDS" -lt "$give_up" ] || die "kbnt serve does not open"
    sleep 0.1
done

# Event streams have no end, so the tests of this program read them. An order that waits takes as long as it takes.
cd "$scratch"
"$python/schemathesis" --config-file "$here/schemathesis.toml" run "$url/openapi.json" --url "$url" \
    --exclude-path /v1/events --exclude-path '/v1/orders/{orderId}/events' \
    --phases examples,coverage,fuzzing --max-examples 50 --max-time "$seconds" --request-timeout 70 --seed 1 \
    --no-color --warnings off
kill -0 "$shop" || die "kbnt serve has ended"
