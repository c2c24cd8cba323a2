# Programs of ours, as cargo builds them. Needs common.sh.
# shellcheck shell=bash

# built NAME COMMAND...: builds what the command of cargo's selects, and prints where NAME of it is. Programs that are needed together
# are built with one selection, so that what they share is built once.
built() {
    "$REPO_DIR/e2e/cargo.sh" "${@:2}" --release --locked --workspace --message-format json |
        jq -r --arg name "$1" 'select(.executable != null and .target.name == $name).executable'
}
