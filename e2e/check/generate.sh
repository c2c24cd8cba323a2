#!/usr/bin/env bash
# make generate: writes every file that is made from others: the custom resource definitions, their chart, the charts as rendered, the
# description of the HTTP API, the examples of events, the example of Kafka users, and the list of planted bugs. With --check it writes
# nothing, and fails where what lies there is stale; the last three are then left to the tests that write them.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/programs.sh"
cd "$REPO_DIR"

e2e/cargo.sh run --release --locked --quiet --bin crdgen -- "$@"
# The pinned one: another version may render otherwise.
e2e/cluster/go.sh helm
HELM=$(program_path helm) manifests/render.sh "$@"

api=docs/openapi.json
described() { e2e/cargo.sh run --release --locked --quiet --bin kbnt -- openapi; }
if [ "${1:-}" = --check ]; then
    diff --unified "$api" <(described) >&2 || die "$api is stale: make generate"
else
    described >"$api"
    KBNT_GENERATE=1 e2e/cargo.sh test --release --locked --workspace --lib --test wire --test mutants --quiet -- \
        the_page_shows_every_event_as_it_is_written the_documented_users_are_those_that_are_made the_page_lists_every_bug
fi
