# What a glibc program needs beside itself, and nothing more: the base of the project's images where distroless cannot
# be pulled. Needs rootfs.sh and archive.sh.
# shellcheck shell=bash

BASE_IMAGE=kbnt/base:dev
BASE_PACKAGES=(libc6 libgcc-s1 libssl3 zlib1g ca-certificates tzdata)

base_rootfs() { echo "$CACHE/rootfs/base-$(key "$(debian_suite)" "${BASE_PACKAGES[@]}" -- "$CLUSTER_DIR/lib/rootfs.sh").tar"; }
base_archive() { echo "$CACHE/images/base-$(key "$(base_rootfs)" -- "$CLUSTER_DIR"/lib/{base-image,archive}.sh).tar"; }

make_base_image() {
    local out=$1 work root name lib
    work=$(temporary "$out").work
    root=$work/root
    mkdir -p "$work/debian" "$root"/{etc/ssl/certs,tmp,usr/share,home/nonroot}
    tar -C "$work/debian" -xpf "$(base_rootfs)" --exclude='./dev/*'
    for lib in "$work"/debian/{lib,usr/lib}/*-linux-gnu; do
        for name in ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libresolv.so.2 \
            libnss_dns.so.2 libnss_files.so.2 libgcc_s.so.1 libssl.so.3 libcrypto.so.3 libz.so.1; do
            [ ! -e "$lib/$name" ] || install -D -m 0755 "$lib/$name" "$root/lib/x86_64-linux-gnu/$name"
        done
    done
    mkdir -p "$root/lib64"
    ln -s ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$root/lib64/ld-linux-x86-64.so.2"
    cat "$work"/debian/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
    cp -r "$work/debian/usr/share/zoneinfo" "$root/usr/share/"
    printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/etc/group"
    echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
    chmod 1777 "$root/tmp"
    cached_image "$out" "$BASE_IMAGE" '{"User": "65532:65532", "WorkingDir": "/home/nonroot", "Env": [
        "PATH=/usr/local/bin:/usr/bin:/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"]}' "$root"
    rm -rf "$work"
}
