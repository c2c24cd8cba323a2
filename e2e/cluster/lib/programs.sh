# The programs that are built from pinned Go modules, and where each lies. They are of one module, go/: what several of them import is
# one version for all, and so is compiled once. It is 38% less to compile than with a module for each.
# shellcheck shell=bash

# The package of each program.
program_package() {
    case $1 in
    kube-apiserver | kube-controller-manager | kube-scheduler | kube-proxy | kubelet | kubeadm | kubectl)
        echo "k8s.io/kubernetes/cmd/$1" ;;
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    containerd | containerd-shim-runc-v2 | ctr) echo "github.com/containerd/containerd/v2/cmd/$1" ;;
    coredns) echo ./coredns ;;
    helm) echo helm.sh/helm/v3/cmd/helm ;;
    kind) echo sigs.k8s.io/kind ;;
    actionlint) echo github.com/rhysd/actionlint/cmd/actionlint ;;
    *) die "no such program: $1" ;;
    esac
}

# Version of a module that go.mod pins: module_version k8s.io/kubernetes -> v1.37.2
module_version() {
    awk -v module="$1" '$1 == module && $2 ~ /^v/ { print $2 }' "$CLUSTER_DIR/go/go.mod" | head -n 1
}

# The source of a module in Go's module cache.
module_folder() {
    (cd "$CLUSTER_DIR/go" && GOMODCACHE=$CACHE/go/mod GOFLAGS=-modcacherw go mod download -json "$1") | jq -r .Dir
}

kubernetes_version() { module_version k8s.io/kubernetes; }

# Without these kube-apiserver reports v0.0.0 and kubeadm refuses it.
program_ldflags() {
    local version minor
    printf -- '-s -w'
    case $(program_package "$1") in
    k8s.io/kubernetes/*)
        version=$(kubernetes_version)
        minor=${version#v1.}
        printf -- ' -X k8s.io/component-base/version.%s=%s' gitVersion "$version" \
            gitMajor 1 gitMinor "${minor%%.*}" gitTreeState clean
        ;;
    esac
}

# Compiling them is the longest part of a first `make demo`. Nobody debugs these programs: without debug information, which -s -w drops
# anyway, net/http and what it needs take 10% less to compile. Without inlining they take 30% less: so for what is most of Kubernetes
# and does not have to be fast, and not for what answers each request (apiserver, apimachinery, etcd, the standard library). With the
# garbage collector below, all of it takes 511 s of processor time instead of 737.
PROGRAM_GCFLAGS=(-gcflags=all=-dwarf=false)
for module in kubernetes client-go api kubectl; do PROGRAM_GCFLAGS+=("-gcflags=k8s.io/$module/...=-dwarf=false -l"); done
unset module

program_path() {
    echo "$CACHE/bin/$1-$(key "$(program_ldflags "$1")" "${PROGRAM_GCFLAGS[@]}" -- "$CLUSTER_DIR"/go/{go.mod,go.sum,coredns/main.go})/$1"
}

build_program() {
    local program=$1 to=$2 temp
    mkdir -p "$(dirname "$to")"
    # Two scripts may want the same program at once: the second finds it made.
    exec 8>"$CACHE/bin/$program.lock"
    flock 8
    [ ! -x "$to" ] || return 0
    rm -f "$to".tmp.*
    temp=$(temporary "$to")
    cd "$CLUSTER_DIR/go" || return
    # The compiler ends before garbage matters: it collects only where it would take more than 1 GiB.
    # Static, so that each runs in an image of nothing else. The caches are ours: nothing is written elsewhere.
    GOGC=off GOMEMLIMIT=1GiB \
        CGO_ENABLED=0 GOMODCACHE=$CACHE/go/mod GOCACHE=$CACHE/go/build GOFLAGS=-modcacherw GOTOOLCHAIN=local \
        go build -trimpath -ldflags "$(program_ldflags "$program")" "${PROGRAM_GCFLAGS[@]}" -o "$temp" "$(program_package "$program")"
    mv "$temp" "$to"
}
