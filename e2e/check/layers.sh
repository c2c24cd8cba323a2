#!/usr/bin/env bash
# Keeps the hexagon's arrows true: domain <- application <- infrastructure <- services, and nothing that does I/O,
# runs tasks or knows a wire format in the domain.
set -euo pipefail

metadata=$(cargo metadata --format-version 1 --no-deps --offline)

direct() {
    jq -r --arg name "$1" '.packages[] | select(.name == $name).dependencies[] | select(.kind == null).name' \
        <<<"$metadata"
}

# check CRATE WHICH ALLOWED...: those of CRATE's dependencies that match WHICH are among ALLOWED.
check() {
    local crate=$1 which=$2 dependency
    shift 2
    for dependency in $(direct "$crate" | grep -E "$which"); do
        case " $* " in
        *" $dependency "*) ;;
        *)
            echo "layers: $crate may not depend on $dependency (allowed: $*)" >&2
            exit 1
            ;;
        esac
    done
}

# Rules of names and ids, for the domain and for the API types alike.
check kbnt-rules . none
pure="foldhash hashbrown kbnt-rules rustc-hash sha2 smallvec smol_str thiserror uuid"
# iso_currency is a table: which currencies there are, and how many decimal places each has.
check kbnt-domain . $pure iso_currency
check kbnt-application . $pure kbnt-domain async-trait base64 murmur2
check kbnt-infrastructure '^kbnt-' kbnt-domain kbnt-application
check kbnt-simulation '^kbnt-' kbnt-domain kbnt-application
# What checks the services shares nothing with them.
check kbnt-chaos '^kbnt-|rdkafka' none
check kbnt-services '^kbnt-' kbnt-domain kbnt-application kbnt-infrastructure
check kbnt-crds '^kbnt-|rdkafka' kbnt-rules
check kbnt-operator '^kbnt-|rdkafka' kbnt-crds kbnt-rules
