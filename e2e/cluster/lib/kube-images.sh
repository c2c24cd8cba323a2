# The images of the control plane, made from the programs themselves, in the store of the node image.
# shellcheck shell=bash

KUBE_PATH='"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"'

# kube_images FOLDER NODE_ROOT: one docker-archive for each name that kubeadm will ask for.
kube_images() {
    local to=$1 node_root=$2 name program files
    mkdir -p "$to"
    for name in $("$(program_path kubeadm)" config images list --kubernetes-version "$(kubernetes_version)"); do
        program=$(basename "${name%:*}")
        files=$to/$program
        mkdir -p "$files/usr/local/bin" "$files/tmp"
        chmod 1777 "$files/tmp"
        if [ "$program" = pause ]; then
            build_pause "$files/pause"
            # containerd has to ask for the same one.
            sed -i "s|sandbox_image = .*|sandbox_image = \"$name\"|" "$node_root/etc/containerd/config.toml"
        else
            install -m 0755 "$(program_path "$program")" "$files/usr/local/bin/"
        fi
        [ "$program" != kube-proxy ] || install_nft "$node_root" "$files"
        image_archive "$to/$program.tar" "$name" "$(kube_image_config "$program")" "$files"
    done
}

kube_image_config() {
    case $1 in
    pause) echo '{"Entrypoint": ["/pause"], "User": "65535:65535"}' ;;
    coredns) echo "{\"Env\": [$KUBE_PATH], \"Entrypoint\": [\"/usr/local/bin/coredns\"]}" ;;
    *) echo "{\"Env\": [$KUBE_PATH]}" ;;
    esac
}

build_pause() {
    local source
    source=$(module_folder k8s.io/kubernetes)/build/pause/linux/pause.c
    gcc -Os -static -s -DVERSION="$(kubernetes_version)" -o "$1" "$source"
}

# kube-proxy calls nft; it comes with the libraries that the node's own needs.
install_nft() {
    local from=$1 to=$2 file
    install -D -m 0755 "$from/usr/sbin/nft" "$to/usr/sbin/nft"
    for file in $(chroot "$from" ldd /usr/sbin/nft | grep -o '/[^ ]*'); do
        install -D -m 0755 "$from/$file" "$to/$file"
    done
}

# import_images NODE_ROOT ARCHIVE...: into the node's containerd store, packed: it is copied when a node starts, and a
# layer is unpacked when its first container starts.
import_images() {
    local root=$1 state ctr
    shift
    state=$CACHE/tmp/containerd-$BASHPID
    mkdir -p "$state" "$root/var/lib/containerd"
    sed -e "s|@ROOT@|$root/var/lib/containerd|" -e "s|@STATE@|$state|" "$CLUSTER_DIR/node/containerd.toml" >"$state/config.toml"
    # In a namespace of its own, for what it mounts; it ends with this function.
    unshare --mount --propagation private "$(program_path containerd)" --config "$state/config.toml" &
    local containerd=$!
    ctr=("$(program_path ctr)" --address "$state/containerd.sock" --namespace k8s.io)
    timeout 30 bash -c 'until "$@" version >/dev/null 2>&1; do sleep 0.1; done' - "${ctr[@]}"
    local archive
    for archive in "$@"; do "${ctr[@]}" images import --no-unpack "$archive"; done
    "${ctr[@]}" images list -q
    kill "$containerd"
    wait "$containerd" || true
    rm -rf "$state"
}
