#!/usr/bin/env bash
# make chaos and make soak: the six services on a broker of their own, under load and harm, and a check of everything in the log. Its
# arguments go to kbnt-chaos: `faults` with its options, or `soak` with its. The services are those of this checkout, or of the program that
# KBNT_CHAOS_SERVICES names.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$(dirname "$0")/../cluster/lib/built.sh"
cd "$REPO_DIR"

e2e/cluster/prerequisites.sh built
selection=(build --bin kbnt --bin kbnt-chaos)
kbnt=${KBNT_CHAOS_SERVICES:-$(built kbnt "${selection[@]}")}
chaos=$(built kbnt-chaos "${selection[@]}")
programs=(--kbnt "$kbnt" --broker e2e/kafka/broker.sh)
if [ "$1" = faults ]; then
    clock=$CACHE/bin/clock-$(key -- e2e/chaos/clock.c).so
    [ -e "$clock" ] || { mkdir -p "$CACHE/bin" && cc -shared -fPIC -O2 -o "$clock.$$" e2e/chaos/clock.c && mv "$clock.$$" "$clock"; }
    programs+=(--clock "$clock")
fi
# Whatever it starts, mounts or connects is gone with it. It hears Ctrl-C itself, but nothing else that ends this script.
unshare --net --mount --pid --fork --kill-child --mount-proc "$chaos" "$1" "${programs[@]}" "${@:2}" &
trap 'kill -KILL $!' TERM HUP
wait $!
