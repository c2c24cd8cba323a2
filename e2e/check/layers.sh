#!/usr/bin/env bash
# Keeps the hexagon's arrows true: domain <- application <- wire <- runtime, kafka, embedded, http, adapters <- kbnt, none among
# those five, and nothing that does I/O, runs tasks or knows a wire format in domain and application. The domain does not even
# speak of how a log works. Then it shows that wrong arrows and words are found.
set -euo pipefail

five=(kbnt-adapters kbnt-embedded kbnt-http kbnt-kafka kbnt-runtime)
below=(kbnt-domain kbnt-application)
pure=(foldhash hashbrown kbnt-rules sha2 smallvec smol_str thiserror uuid)

# Of each crate: which of its dependencies are looked at, and which of those it may have; and which of our crates its tests
# may use besides.
declare -A looked=() allowed=() tests=()
rule() {
    looked[$1]=$2
    allowed[$1]="${*:3}"
}

# Rules of names and ids, for the domain and for the API types alike.
rule kbnt-rules .
# iso_currency is a table: which currencies there are, and how many decimal places each has.
rule kbnt-domain . "${pure[@]}" iso_currency
rule kbnt-application . "${pure[@]}" kbnt-domain async-trait base64 murmur2
rule kbnt-wire ^kbnt "${below[@]}"
rule kbnt-testkit ^kbnt "${below[@]}"
for crate in "${five[@]}"; do
    rule "$crate" ^kbnt "${below[@]}" kbnt-wire
    tests[$crate]=kbnt-testkit
done
# They compare what the API server admits as a place with what the program reads.
tests[kbnt-adapters]+=' kbnt-rules'
rule kbnt ^kbnt "${below[@]}" kbnt-wire "${five[@]}"
tests[kbnt]=kbnt-testkit
rule kbnt-simulation ^kbnt "${below[@]}" kbnt-wire
rule kbnt-mutants ^kbnt kbnt-simulation
# What checks the services shares nothing with them.
rule kbnt-chaos '^kbnt|rdkafka'
rule kbnt-crds '^kbnt|rdkafka' kbnt-rules
rule kbnt-operator '^kbnt|rdkafka' kbnt-crds kbnt-rules
rule kbnt-e2e ^kbnt kbnt-crds kbnt-kafka

# check < ARROWS: a line for each, `crate dependency kind`, where the kind is null, build or dev.
check() {
    local crate dependency kind may
    while read -r crate dependency kind; do
        if [ -z "${looked[$crate]:-}" ]; then
            echo "layers: there is no rule for $crate" >&2
            return 1
        fi
        [ "$dependency" != - ] || continue
        may=${allowed[$crate]}
        if [ "$kind" = dev ]; then
            [[ $dependency =~ ^kbnt ]] || continue
            may+=" ${tests[$crate]:-}"
        fi
        if [[ $dependency =~ ${looked[$crate]} && " $may " != *" $dependency "* ]]; then
            echo "layers: $crate may not depend on $dependency (allowed: $may)" >&2
            return 1
        fi
    done
}

# A crate that depends on nothing has a line, too, with a dash.
arrows=$(cargo metadata --format-version 1 --no-deps --offline |
    jq -r '.packages[] | .name as $from | (.dependencies[] | "\($from) \(.name) \(.kind)"), "\($from) - null"')
check <<<"$arrows"

# wrong ARROW: fails unless it is found among the others.
wrong() {
    ! check 2>/dev/null < <(printf '%s\n' "$arrows" "$1") || {
        echo "layers: the check does not find: $1" >&2
        exit 1
    }
}

wrong "kbnt-domain tokio null"
wrong "kbnt-domain kbnt-application null"
wrong "kbnt-domain kbnt-application dev"
wrong "kbnt-application tokio null"
wrong "kbnt-application kbnt-wire null"
wrong "kbnt-wire kbnt-kafka null"
wrong "kbnt-simulation kbnt-runtime null"
wrong "kbnt-chaos kbnt-domain null"
wrong "kbnt-operator rdkafka null"
wrong "kbnt-unheard-of - null"
for from in "${five[@]}"; do
    for to in "${five[@]}" kbnt; do
        [ "$from" = "$to" ] || for kind in null dev; do wrong "$from $to $kind"; done
    done
done

# speaks_of_the_log FOLDER: whether a line there does, each of which it prints. Slices have a partition_point of their own.
speaks_of_the_log() {
    grep -rniE 'partition|offset|topic|kafka|(^|[^s])elect' "$1" | grep -v '\.partition_point('
}

! speaks_of_the_log workloads/domain/src >&2 || {
    echo "layers: the domain knows no partitions, offsets, topics, elections and no Kafka" >&2
    exit 1
}
probe=$(mktemp -d)
trap 'rm -r "$probe"' EXIT
for word in partition Offset topics Kafka elected WriterElected; do
    echo "    /// It is said of the $word." >"$probe/probe.rs"
    speaks_of_the_log "$probe" >/dev/null || {
        echo "layers: the check does not find the word $word" >&2
        exit 1
    }
done
echo 'let at = self.sorted.partition_point(|one| one < other);' >"$probe/probe.rs"
! speaks_of_the_log "$probe" >&2 || exit 1
