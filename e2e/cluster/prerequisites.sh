#!/usr/bin/env bash
# Installs the Debian packages that the other scripts need. No apt call when nothing is missing.
#   prerequisites.sh docker|built|external|check|database
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/step.sh"

packages=(bash curl gcc g++ cmake make pkg-config libssl-dev zlib1g-dev jq openssl procps python3-venv util-linux)
# What only a cluster built from packages needs: an engine, file systems to make images of, Maven for Kafka's jars.
[ "$1" != built ] || packages+=(docker.io runc containernetworking-plugins nftables iptables iproute2 mmdebstrap
    debian-archive-keyring libc6-dev maven openjdk-17-jre-headless)
# What the tests of the history in PostgreSQL need, and no more.
[ "$1" != database ] || packages=(postgresql openssl util-linux)

missing() {
    local package
    for package in "${packages[@]}"; do
        [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

install_missing() {
    [ "$(id -u)" = 0 ] || die "only root can install what is missing: $*"
    export DEBIAN_FRONTEND=noninteractive
    # On a machine with systemd the packages' own daemons would start, and work in the machine's own network.
    if [ -d /run/systemd/system ] && [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    # Nor is a database wanted that nobody asked for.
    if [[ " $* " = *" postgresql "* ]]; then
        mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/kbnt.conf
    fi
    apt-get update
    apt-get install -y --no-install-recommends "$@"
}

[ "$1" = check ] || [ "$1" = database ] || [ "$(id -u)" = 0 ] || die "this needs root, for namespaces and packages"
command -v go >/dev/null || die "Go 1.26 or newer is needed: https://go.dev/dl/"
command -v cargo >/dev/null || die "Rust is needed: https://rustup.rs/"
mapfile -t wanted < <(missing)
if [ ${#wanted[@]} -eq 0 ]; then cached "system packages"; else step "system packages" install_missing "${wanted[@]}"; fi
