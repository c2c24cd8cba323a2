#!/usr/bin/env bash
# make check: what must hold before every commit. The slower tests are in ../test.sh.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
cd "$REPO_DIR"

say "==> format ($(elapsed))"
cargo fmt --all --check
say "==> layers ($(elapsed))"
e2e/check/layers.sh
say "==> lints ($(elapsed))"
cargo clippy --release --locked --workspace --all-targets --quiet -- -D warnings
say "==> generated files ($(elapsed))"
cargo run --release --locked --workspace --quiet --bin crdgen -- --check
if command -v helm >/dev/null || [ -x "$STATE/bin/helm" ]; then
    PATH=$STATE/bin:$PATH manifests/render.sh --check
else
    say "    manifests/install: not checked, as there is no helm here (make up builds it)"
fi
if cargo deny --version >/dev/null 2>&1; then
    say "==> licences, sources, bans ($(elapsed))"
    cargo deny --offline check bans licenses sources
else
    say "==> licences, sources, bans: not checked, as cargo-deny is not installed"
fi
say "==> unit tests ($(elapsed))"
cargo test --release --locked --workspace --lib --bins --quiet
say "==> check passed in $(elapsed)"
