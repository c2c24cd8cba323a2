# Processes that outlive the script that starts them: recorded with their start time, so that a process id that
# the kernel has given to somebody else since is never taken for ours.
# shellcheck shell=bash

# Field 22 of /proc/PID/stat, in clock ticks since boot; the second field may hold blanks, so it is cut off first.
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # split into fields on purpose
    set -- ${stat##*) }
    # Z: it has ended, only its parent has not asked yet.
    [ "$1" != Z ] && echo "${20}"
}

# record PID FILE
record() { printf '%s %s\n' "$1" "$(start_time "$1")" >"$2.tmp" && mv "$2.tmp" "$2"; }

# Prints the process id in FILE if that very process is alive; fails otherwise.
alive() {
    local pid started
    read -r pid started 2>/dev/null <"$1" || return 1
    [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

# end FILE [SECONDS]: asks the recorded process to end, kills it when it has not after that time, and waits.
end() {
    local pid
    if pid=$(alive "$1"); then
        kill -TERM "$pid" 2>/dev/null || true
        timeout "${2:-5}" tail -s 0.05 --pid="$pid" -f /dev/null || kill -KILL "$pid" 2>/dev/null || true
        timeout 10 tail -s 0.05 --pid="$pid" -f /dev/null || die "process $pid does not end"
    fi
    rm -f "$1"
}
