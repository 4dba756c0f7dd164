#!/bin/bash
# Builds kube-apiserver, kubectl and helm from their Go modules once and prints the folder they are in as its last line.
# The result is cached by the lock file's content; an interrupted build goes on where it stopped (Go's build cache).
# With the word `oldest`: the oldest kube-apiserver that is supported, beside the kubectl and helm of the newest.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/bed/progress.sh
. "$here/progress.sh"
cache=${KUBE_LVS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kube-lvs}

module=$here/control-plane
if [ "${1:-}" = oldest ]; then
  newest=$("${BASH_SOURCE[0]}")
  module=$here/oldest
fi
version=$(awk '$1 == "require" && $2 == "k8s.io/kubernetes" {print $3}' "$module/go.mod")
key=$version-$(cat "$module/go.mod" "$module/go.sum" | sha256sum | cut -c1-12)
dir=$cache/control-plane/$key
mkdir -p "$dir"
exec 9>"$dir/lock"
flock -n 9 || { echo "control plane: waiting for another build of it" >&2; flock 9; }

# The compiler collects its garbage less often: a seventh less of CPU, for some hundred megabytes.
export GOGC=400
minor=${version#v1.}; minor=${minor%%.*}
stamp="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  stamp="$stamp -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
done
build() { # PROGRAM VERSION MODULE_FOLDER PACKAGE
  local program=$1 log=$dir/$1.log build
  command -v go >/dev/null || { echo "control plane: no go on the PATH. Install Go 1.26 or newer." >&2; exit 1; }
  echo "control plane: building $program $2 (minutes on two cores, once)" >&2
  (cd "$3" && CGO_ENABLED=0 GOFLAGS='' go_build "$log" "$dir/$program.new" -mod=readonly -trimpath -buildvcs=false -ldflags "$stamp" -- "$4") 9>&- &
  build=$!
  # shellcheck disable=SC2064 # the build of now
  trap "kill $build 2>/dev/null" EXIT
  follow $build "$program" go_built "$log"
  wait $build || {
    echo "control plane: $program failed; the end of $log:" >&2
    tail -n 20 "$log" >&2
    exit 1
  }
  trap - EXIT
  mv "$dir/$program.new" "$dir/$program"
}
[ "${1:-}" != oldest ] || for program in kubectl helm; do cp -fl "$newest/$program" "$dir/" 2>/dev/null || cp -f "$newest/$program" "$dir/"; done
for program in kube-apiserver kubectl; do
  [ -x "$dir/$program" ] || build "$program" "$version" "$module" "k8s.io/kubernetes/cmd/$program"
done
[ "${1:-}" != oldest ] || { echo "$dir"; exit; }
helm=$(awk '$1 == "require" && $2 == "helm.sh/helm/v4" {print $3}' "$here/helm/go.mod")
# Another helm needs no other API server.
key=$helm-$(cat "$here/helm/go.mod" "$here/helm/go.sum" | sha256sum | cut -c1-12)
[ -x "$dir/helm" ] && [ "$(cat "$dir/helm.key" 2>/dev/null)" = "$key" ] || {
  stamp="-s -w -X helm.sh/helm/v4/internal/version.version=$helm"
  build helm "$helm" "$here/helm" helm.sh/helm/v4/cmd/helm
  echo "$key" >"$dir/helm.key"
}
echo "$dir"
