#!/usr/bin/env bash
# make check: what must hold before every commit. The slower tests are in ../test.sh, which runs this with `static`:
# without the unit tests.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
cd "$REPO_DIR"

"$CLUSTER_DIR/prerequisites.sh" check
# It is built once, with what the rest leaves of the processor.
e2e/check/deny.sh install &
installing=$!
trap 'kill "$installing" 2>/dev/null || true' EXIT
say "==> format ($(elapsed))"
cargo fmt --all --check
unformatted=$(gofmt -l e2e)
[ -z "$unformatted" ] || die "not as gofmt writes it: $unformatted"
say "==> layers ($(elapsed))"
e2e/check/layers.sh
say "==> shell scripts and workflows ($(elapsed))"
e2e/check/shell.sh
say "==> lints ($(elapsed))"
lint() { e2e/cargo.sh clippy --release --locked --workspace --quiet "$@" -- -D warnings; }
lint --all-targets
# Cargo counts these among no others, as they need a cluster.
lint --test cluster --test upgrade
say "==> comments that are documentation ($(elapsed))"
# Those of private items too: nothing here is published, so nearly all that a reader looks up is private.
RUSTDOCFLAGS="-D warnings" e2e/cargo.sh doc --release --locked --workspace --no-deps --document-private-items --quiet
say "==> generated files ($(elapsed))"
e2e/check/generate.sh --check
say "==> licences, sources, bans, advisories ($(elapsed))"
wait "$installing" || die "cargo-deny cannot be installed"
trap - EXIT
e2e/check/deny.sh
[ "${1:-}" != static ] || exit 0
say "==> unit tests ($(elapsed))"
# Those beside the crates that need nothing but the processor, too.
e2e/cargo.sh test --release --locked --workspace --lib --bins --test stock --test inventory --test wire --test mutants \
    --test docs --test layers --test links --test audit_coverage --quiet
say "==> check passed in $(elapsed)"
