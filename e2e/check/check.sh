#!/usr/bin/env bash
# make check: what must hold before every commit. The slower tests are in ../test.sh, which runs this with `static`:
# without the unit tests.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
cd "$REPO_DIR"

say "==> format ($(elapsed))"
cargo fmt --all --check
unformatted=$(gofmt -l e2e)
[ -z "$unformatted" ] || die "not as gofmt writes it: $unformatted"
say "==> layers ($(elapsed))"
e2e/check/layers.sh
say "==> lints ($(elapsed))"
lint() { e2e/cargo.sh clippy --release --locked --workspace --quiet "$@" -- -D warnings; }
lint --all-targets
# Cargo counts these among no others, as they need a cluster.
lint --test cluster --test upgrade
say "==> generated files ($(elapsed))"
e2e/check/generate.sh --check
if cargo deny --version >/dev/null 2>&1; then
    say "==> licences, sources, bans ($(elapsed))"
    cargo deny --offline check bans licenses sources
else
    say "==> licences, sources, bans: not checked, as cargo-deny is not installed"
fi
[ "${1:-}" != static ] || exit 0
say "==> unit tests ($(elapsed))"
# Those beside the crates that need nothing but the processor, too.
e2e/cargo.sh test --release --locked --workspace --lib --bins --test stock --test inventory --test wire --test mutants \
    --test docs --quiet
say "==> check passed in $(elapsed)"
