#!/bin/bash
# Builds what a cluster has besides its API server, from Go modules, once, and prints the folder as its last line:
# controllers, scheduler, kubelet, kube-proxy; containerd, runc, and the plugins of a pod network.
# The result is cached by the lock files' content; an interrupted build goes on where it stopped (Go's build cache).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/bed/progress.sh
. "$here/progress.sh"
cache=${KUBE_LVS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kube-lvs}

version=$(awk '$1 == "require" && $2 == "k8s.io/kubernetes" {print $3}' "$here/control-plane/go.mod")
key=$version-$(cat "$here/control-plane/go.mod" "$here"/cluster/{go.mod,go.sum,kubernetes.sum} "$here"/runc/go.{mod,sum} | sha256sum | cut -c1-12)
dir=$cache/cluster/$key
mkdir -p "$dir"
exec 9>"$dir/lock"
flock -n 9 || { echo "cluster: waiting for another build of it" >&2; flock 9; }

# The compiler collects its garbage less often: a seventh less of CPU, for some hundred megabytes.
export GOGC=400
minor=${version#v1.}; minor=${minor%%.*}
stamp="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  stamp="$stamp -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
done

build() { # WHAT MODULE CGO PACKAGE...: all programs of WHAT at once
  local what=$1 module=$2 cgo=$3 log=$dir/$1.log
  shift 3
  [ ! -e "$dir/$what.built" ] || return 0
  command -v go >/dev/null || { echo "cluster: no go on the PATH. Install Go 1.26 or newer." >&2; exit 1; }
  echo "cluster: building $what" >&2
  mkdir -p "$dir/new"
  (cd "$here/$module" && CGO_ENABLED=$cgo GOFLAGS='' go_build "$log" "$dir/new/" \
    -mod=readonly "${modfile[@]}" -tags seccomp -trimpath -buildvcs=false -ldflags "$stamp" -- "$@") 9>&- &
  local build=$!
  # shellcheck disable=SC2064 # the build of now
  trap "kill $build 2>/dev/null" EXIT
  follow $build "$what" go_built "$log"
  wait $build || {
    echo "cluster: $what failed; the end of $log:" >&2
    tail -n 20 "$log" >&2
    exit 1
  }
  trap - EXIT
  mv "$dir/new"/* "$dir/"
  touch "$dir/$what.built"
}
# The API server's module and version; more of its dependencies, so more checksums.
cp "$here/control-plane/go.mod" "$dir/kubernetes.mod"
cp "$here/cluster/kubernetes.sum" "$dir/kubernetes.sum"
modfile=("-modfile=$dir/kubernetes.mod")
build kubernetes control-plane 0 k8s.io/kubernetes/cmd/{kubelet,kube-proxy,kube-scheduler,kube-controller-manager}
modfile=()
build containerd cluster 0 github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr}
build plugins cluster 0 github.com/containernetworking/plugins/plugins/{main/bridge,main/loopback,ipam/host-local}
# runc's seccomp filters come from libseccomp, and it enters namespaces in C.
build runc runc 1 github.com/opencontainers/runc
rmdir "$dir/new" 2>/dev/null || true
echo "$dir"
