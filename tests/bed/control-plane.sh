#!/bin/bash
# Builds kube-apiserver and kubectl from their Go modules once and prints the folder they are in as its last line.
# The result is cached by the lock file's content; an interrupted build goes on where it stopped (Go's build cache).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${KUBE_LVS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kube-lvs}

version=$(awk '$1 == "require" && $2 == "k8s.io/kubernetes" {print $3}' "$here/control-plane/go.mod")
key=$version-$(cat "$here/control-plane/go.mod" "$here/control-plane/go.sum" | sha256sum | cut -c1-12)
dir=$cache/control-plane/$key
mkdir -p "$dir"
exec 9>"$dir/lock"
flock -n 9 || { echo "control plane: waiting for another build of it" >&2; flock 9; }

minor=${version#v1.}; minor=${minor%%.*}
stamp="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  stamp="$stamp -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
done
for program in kube-apiserver kubectl; do
  [ ! -x "$dir/$program" ] || continue
  command -v go >/dev/null || { echo "control plane: no go on the PATH. Install Go 1.26 or newer." >&2; exit 1; }
  echo "control plane: building $program $version (about five minutes on two cores, once)" >&2
  start=$SECONDS log=$dir/$program.log
  (cd "$here/control-plane" && CGO_ENABLED=0 GOFLAGS= go build -v -mod=readonly -trimpath -buildvcs=false \
    -ldflags "$stamp" -o "$dir/$program.new" "k8s.io/kubernetes/cmd/$program") >"$log" 2>&1 9>&- &
  build=$!
  trap 'kill $build 2>/dev/null' EXIT
  while kill -0 $build 2>/dev/null; do
    for _ in $(seq 20); do kill -0 $build 2>/dev/null && sleep 0.5; done
    echo "control plane: $program, $(grep -vc downloading "$log" || true) packages after $((SECONDS - start)) s" >&2
  done
  wait $build || {
    echo "control plane: $program failed; the end of $log:" >&2
    tail -n 20 "$log" >&2
    exit 1
  }
  trap - EXIT
  mv "$dir/$program.new" "$dir/$program"
done
echo "$dir"
