# Debian root file systems from the machine's own package mirror.
# shellcheck shell=bash

# The machine's release, so that the mirror that it is set up for serves it.
debian_suite() { (. /etc/os-release && echo "$VERSION_CODENAME"); }

debian_sources() {
    local file
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        [ ! -s "$file" ] || { echo "$file"; return; }
    done
    die "found no apt sources of Debian"
}

# rootfs OUT VARIANT PACKAGE...: a tar of a root file system with these packages, without documentation.
# In a mount namespace of its own, so that nothing stays mounted when it is killed.
rootfs() {
    local out=$1 variant=$2 temp
    shift 2
    temp=$(temporary "$out")
    mkdir -p "$CACHE/tmp"
    TMPDIR=$CACHE/tmp unshare --mount --propagation private \
        mmdebstrap --mode=root --variant="$variant" --include="$(IFS=,; echo "$*")" --format=tar \
        --aptopt='Apt::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "$(debian_suite)" - "$(debian_sources)" >"$temp"
    mv "$temp" "$out"
}
