# How kind's node image is put together. Needs programs.sh, rootfs.sh and archive.sh.
# shellcheck shell=bash

NODE_IMAGE=kbnt/node
NODE_PROGRAMS=(etcd kube-apiserver kubectl kubelet kubeadm kube-controller-manager kube-scheduler kube-proxy coredns
    containerd containerd-shim-runc-v2 ctr)
NODE_PACKAGES=(systemd systemd-sysv conntrack iptables nftables iproute2 ethtool util-linux mount kmod libseccomp2 bash
    ca-certificates curl jq procps runc socat ebtables containernetworking-plugins pigz e2fsprogs)

node_rootfs() { echo "$CACHE/rootfs/node-$(key "$(debian_suite)" "${NODE_PACKAGES[@]}" -- "$CLUSTER_DIR/lib/rootfs.sh").tar"; }

node_archive() {
    local program paths=()
    for program in "${NODE_PROGRAMS[@]}" kind; do paths+=("$(program_path "$program")"); done
    echo "$CACHE/images/node-$(key "$(node_rootfs)" "${paths[@]}" -- "$CLUSTER_DIR"/node/* \
        "$CLUSTER_DIR"/lib/{node,archive,kube-images}.sh).tar"
}

install_kind_files() {
    local root=$1 files
    files=$(module_folder sigs.k8s.io/kind)/images/base/files
    # The module cache keeps no modes: scripts are 0755, all else 0644.
    mkdir -p "$root/usr/local/bin" "$root/kind"
    cp -r --no-preserve=mode "$files/etc" "$files/kind" "$root/"
    install -m 0755 "$files/usr/local/bin/entrypoint" "$root/usr/local/bin/"
    chmod 0755 "$root"/kind/bin "$root"/kind/bin/*
}

# What kind's Dockerfile does to Debian's systemd units.
trim_units() {
    local root=$1 unit
    rm -f "$root"/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
        "$root"/lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* "$root"/etc/systemd/system/*.wants/* \
        "$root"/lib/systemd/system/sockets.target.wants/*{udev,initctl}*
    echo "ReadKMsg=no" >>"$root/etc/systemd/journald.conf"
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    for unit in kubelet containerd undo-mount-hacks; do
        ln -s "/etc/systemd/system/$unit.service" "$root/etc/systemd/system/multi-user.target.wants/"
    done
    ln -sf /dev/null "$root/etc/systemd/system/systemd-binfmt.service"
    # Lowering an OOM score needs CAP_SYS_RESOURCE, which not every machine gives.
    sed -i '/^OOMScoreAdjust=/d' "$root"/etc/systemd/system/{containerd,kubelet}.service
    sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$root/etc/containerd/config.toml"
}

install_programs() {
    local root=$1 program
    for program in containerd containerd-shim-runc-v2 ctr; do
        install -m 0755 "$(program_path "$program")" "$root/usr/local/bin/"
    done
    for program in kubeadm kubelet kubectl; do install -m 0755 "$(program_path "$program")" "$root/usr/bin/"; done
    mkdir -p "$root/opt/cni/bin" "$root/etc/cni/net.d" "$root/etc/kubernetes/manifests" "$root/kind/manifests"
    cp "$root"/usr/lib/cni/{ptp,host-local,loopback,portmap} "$root/opt/cni/bin/"
    rm -r "$root/usr/lib/cni"
    cp "$CLUSTER_DIR/node/10-kbnt.conflist" "$root/etc/cni/net.d/"
    # kind installs a network of its own from the first of these unless told not to, and always the second.
    cp "$CLUSTER_DIR/node/default-storage.yaml" "$root/kind/manifests/default-storage.yaml"
    cp "$CLUSTER_DIR/node/default-storage.yaml" "$root/kind/manifests/default-cni.yaml"
    kubernetes_version >"$root/kind/version"
    # The specification that every container starts from: see kind's Dockerfile.
    "$(program_path ctr)" oci spec | jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}]
        | del(.process.rlimits)' >"$root/etc/containerd/cri-base.json"
}

make_node_image() {
    local out=$1 work root
    work=$(temporary "$out").work
    root=$work/root
    mkdir -p "$root"
    tar -C "$root" -xpf "$(node_rootfs)" --xattrs --xattrs-include='*' --numeric-owner --exclude='./dev/*'
    install_kind_files "$root"
    trim_units "$root"
    install_programs "$root"
    kube_images "$work/images" "$root"
    import_images "$root" "$work"/images/*.tar
    cached_image "$out" "$NODE_IMAGE:$(basename "$out" .tar)" '{
        "Env": ["container=docker", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "StopSignal": "SIGRTMIN+3", "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"]
    }' "$root"
    rm -rf "$work"
}
