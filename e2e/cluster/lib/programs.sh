# The programs that are built from pinned Go modules, and where each lies.
# shellcheck shell=bash

# Module folder under go/ and package of each program.
program_source() {
    case $1 in
    kube-apiserver | kube-controller-manager | kube-scheduler | kube-proxy | kubelet | kubeadm | kubectl)
        echo "kubernetes k8s.io/kubernetes/cmd/$1" ;;
    etcd) echo "etcd go.etcd.io/etcd/server/v3" ;;
    containerd | containerd-shim-runc-v2 | ctr) echo "containerd github.com/containerd/containerd/v2/cmd/$1" ;;
    coredns) echo "coredns ." ;;
    helm) echo "helm helm.sh/helm/v3/cmd/helm" ;;
    kind) echo "kind sigs.k8s.io/kind" ;;
    actionlint) echo "actionlint github.com/rhysd/actionlint/cmd/actionlint" ;;
    *) die "no such program: $1" ;;
    esac
}

# Version of a module that go/FOLDER/go.mod pins: module_version kubernetes k8s.io/kubernetes -> v1.37.2
module_version() {
    awk -v module="$2" '$1 == "require" && $2 == module { print $3 } $1 == module && $2 ~ /^v/ { print $2 }' \
        "$CLUSTER_DIR/go/$1/go.mod" | head -n 1
}

kubernetes_version() { module_version kubernetes k8s.io/kubernetes; }

# Without these kube-apiserver reports v0.0.0 and kubeadm refuses it.
program_ldflags() {
    local version minor
    if [ "$1" = kubernetes ]; then
        version=$(kubernetes_version)
        minor=${version#v1.}
        printf -- '-s -w -X k8s.io/component-base/version.%s=%s' gitVersion "$version"
        printf -- ' -X k8s.io/component-base/version.%s=%s' gitMajor 1 gitMinor "${minor%%.*}" gitTreeState clean
    else
        printf -- '-s -w'
    fi
}

program_path() {
    local folder package sources
    read -r folder package <<<"$(program_source "$1")"
    mapfile -t sources < <(find "$CLUSTER_DIR/go/$folder" -name 'go.*' -o -name main.go | sort)
    echo "$CACHE/bin/$folder-$(key "$(program_ldflags "$folder")" -- "${sources[@]}")/$1"
}

build_program() {
    local program=$1 to=$2 folder package temp
    read -r folder package <<<"$(program_source "$program")"
    mkdir -p "$(dirname "$to")"
    # Two scripts may want the same program at once: the second finds it made.
    exec 8>"$CACHE/bin/$program.lock"
    flock 8
    [ ! -x "$to" ] || return 0
    rm -f "$to".tmp.*
    temp=$(temporary "$to")
    cd "$CLUSTER_DIR/go/$folder" || return
    # Static, so that each runs in an image of nothing else. The caches are ours: nothing is written elsewhere.
    CGO_ENABLED=0 GOMODCACHE=$CACHE/go/mod GOCACHE=$CACHE/go/build GOFLAGS=-modcacherw GOTOOLCHAIN=local \
        go build -trimpath -ldflags "$(program_ldflags "$folder")" -o "$temp" "$package"
    mv "$temp" "$to"
}
