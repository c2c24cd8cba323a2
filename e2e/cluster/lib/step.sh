# Steps: each says what it does, how long so far while it runs, and how long it took.
# shellcheck shell=bash

# step NAME COMMAND...: runs the command (a function or a program) with its output in a log, of which the end is
# shown if it fails. A line every 15 seconds tells that it is alive.
step() {
    local name=$1 began=$EPOCHSECONDS pid log
    shift
    log=$LOGS/${name//[^a-zA-Z0-9._-]/-}.log
    say "==> $name ... ($(elapsed))"
    # Marked, and in a process group of its own, so that it can be found and ended whole: here, and by down.sh.
    set -m
    KBNT_JOB=$STATE "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    set +m
    # shellcheck disable=SC2064 # the process of now is meant
    trap "kill -TERM -- -$pid 2>/dev/null; exit 130" INT TERM HUP
    while ! timeout 15 tail -s 0.1 --pid="$pid" -f /dev/null; do
        say "    $name: $(clock $((EPOCHSECONDS - began))) so far ($(elapsed))"
    done
    trap - INT TERM HUP
    if wait "$pid"; then
        say "    $name: done in $(clock $((EPOCHSECONDS - began)))"
    else
        say "    $name: FAILED after $(clock $((EPOCHSECONDS - began))); the end of $log:"
        tail -n 30 "$log" | sed 's/^/    | /' >&2
        return 1
    fi
}

cached() { say "==> $1: cached"; }
