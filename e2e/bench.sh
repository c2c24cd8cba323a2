#!/usr/bin/env bash
# make bench: every figure that the project promises, each beside what it is to be compared with, from one run. Nothing else
# should run meanwhile: the machine's two cores are what is measured.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
cd "$REPO_DIR"

cargo() { "$here/cargo.sh" "$@"; }

finish() {
    [ -z "${shop:-}" ] || kill "$shop" 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT

# open_shop ARGUMENTS...: `kbnt serve` on a port of its own; sets shop to its process and url to its address.
open_shop() {
    local log=$scratch/serve.log give_up=$((EPOCHSECONDS + 60))
    # exec all the way, so that the process is the program's.
    "$here/cargo.sh" run --release --locked --quiet --bin kbnt -- \
        serve --port 0 --allow-unknown-users --log-format json "$@" >"$log" &
    shop=$!
    until url=$(jq -r 'select(.operation == "started") | "http://" + .payload.address' "$log" 2>/dev/null) && [ -n "$url" ]; do
        kill -0 "$shop" 2>/dev/null || die "kbnt serve ended: $(tail -3 "$log")"
        [ "$EPOCHSECONDS" -lt "$give_up" ] || die "kbnt serve does not open"
        sleep 0.1
    done
}

close_shop() {
    kill "$shop"
    wait "$shop" || true
    shop=
}

# A thousand buyers who order at the same instant, five times; and such who take half a second to a second between orders.
buyers() {
    say "==> 1,000 buyers over HTTP, POST /v1/orders?wait=10s, $1 ($(elapsed))"
    open_shop "${@:2}"
    for think in 0 1000; do
        cargo run --release --locked --quiet --example load -- \
            --url "$url" --buyers 1000 --rounds 5 --think "$think"
    done
    close_shop
}

say "==> the ledger, beside a bare hash map ($(elapsed))"
cargo bench --locked --quiet --bench ledger
say "==> the wire format ($(elapsed))"
cargo bench --locked --quiet --bench wire
say "==> the simulator, on one core ($(elapsed))"
cargo run --release --locked --quiet --bin kbnt-simulate -- --seeds 5000
for log in memory durable; do
    say "==> the whole saga in one process, log: $log ($(elapsed))"
    cargo bench --locked --quiet --bench saga -- "$log"
done
cargo build --release --locked --quiet --bin kbnt --example load
buyers "in memory"
buyers "durable" --data-dir "$scratch/data"
say "==> bench done in $(elapsed)"
