#!/usr/bin/env bash
# make test: everything. Brings up a cluster where none is up, and takes that one down again at the end.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
. "$(dirname "$0")/cluster/lib/step.sh"
. "$(dirname "$0")/cluster/lib/built.sh"
here=$(cd "$(dirname "$0")" && pwd)
broker=$(mktemp -d)
database=$(mktemp -d)
cd "$REPO_DIR"

inside() { "$CLUSTER_DIR/inside.sh" "$@"; }
cargo_test() { "$here/cargo.sh" test --release --locked --workspace "$@"; }

finish() {
    local code=$?
    [ -z "${store:-}" ] || kill "$store" 2>/dev/null || true
    "$here/kafka/broker.sh" stop "$broker" >/dev/null 2>&1 || true
    "$here/postgres/server.sh" kill "$database" >/dev/null 2>&1 || true
    rm -rf "$broker" "$database"
    if [ -n "${ours:-}" ]; then
        "$CLUSTER_DIR/down.sh"
    else
        inside kubectl delete namespace --selector kbnt.dev/e2e --wait=false 2>/dev/null || true
    fi
    say "==> test: $([ "$code" = 0 ] && echo passed || echo FAILED) in $(elapsed)"
}

# The suite of the cluster, as a program: where it runs there is no network for cargo.
cluster_suite() { built cluster test --no-run --test cluster 2>/dev/null; }

inside kubectl version >/dev/null 2>&1 || ours=yes
trap finish EXIT
trap "exit 143" TERM INT
"$CLUSTER_DIR/up.sh"
step "compile the tests" cargo_test --no-run
say "==> formats, lints, generated files ($(elapsed))"
"$here/check/check.sh" static
step "a generator accepts the API" "$here/openapi/accepted.sh"
step "the API keeps to its description" "$here/openapi/schemathesis.sh"
say "==> what needs no cluster ($(elapsed))"
cargo_test --no-fail-fast
say "==> the Kafka adapter on a broker ($(elapsed))"
KBNT_TEST_BOOTSTRAP=$("$here/kafka/broker.sh" start "$broker") cargo_test --test kafka --test rights -- --ignored
say "==> brokers that go and come back, and doors that are locked ($(elapsed))"
# Each waits, most of the time, for a broker of its own. Meanwhile an object store is built, once.
nice -n 19 "$here/objects/store.sh" build &
store=$!
cargo_test --test outage -- --ignored --test-threads 6
wait "$store" || die "the object store does not compile"
store=
say "==> backups in an object store ($(elapsed))"
KBNT_TEST_BOOTSTRAP=$("$here/kafka/broker.sh" start "$broker") cargo_test --test objects -- --ignored
say "==> the history of orders in a database ($(elapsed))"
step "PostgreSQL" "$here/postgres/server.sh" install
KBNT_TEST_POSTGRES=$("$here/postgres/server.sh" start "$database") cargo_test --lib history::tests -- --ignored
"$here/postgres/server.sh" kill "$database"
KBNT_TEST_BOOTSTRAP=$("$here/kafka/broker.sh" start "$broker") cargo_test --test postgres -- --ignored
say "==> services and broker killed under load ($(elapsed))"
"$here/chaos/run.sh" faults --faults 12 --orders 3000 --rate 150 --pause 500 --reservation-ttl 20s
say "==> services killed under load while the log is cut ($(elapsed))"
"$here/chaos/soak.sh" --duration 40s --rate 100 --kill-every 9s --cut-every 15s --keep 1s --checkpoint-every 3s --turn 10s \
    --sample-every 5s --reservation-ttl 20s --long-partitions 1
step "compile the cluster's suite" cluster_suite
"$here/install.sh"
say "==> the product on the cluster ($(elapsed))"
inside "$(cluster_suite)" --nocapture
