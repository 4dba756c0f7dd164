#!/bin/bash
# The version before the chart had programs in it, for the test of an upgrade: its chart in chart/, its programs as images with the
# tag `previous`. Prints the folder as its last line. Built once, from the repository's history.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${KUBE_LVS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kube-lvs}
commit=a0dbe018e786f3258ce44b8d18106e3ba276cc21
dir=$cache/previous/$commit
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
if [ ! -e "$dir/built" ]; then
  echo "previous: building the programs of ${commit:0:7} (once)" >&2
  rm -rf "$dir/source" "$dir/chart" && mkdir "$dir/source"
  git() { command git -C "$here/../.." "$@"; }
  # A checkout may have been made without its history.
  git cat-file -e "$commit" 2>/dev/null || git fetch --quiet --unshallow || git fetch --quiet origin "$commit" ||
    { echo "previous: commit $commit is not here, and cannot be fetched" >&2; exit 1; }
  git archive "$commit" | tar -x -C "$dir/source"
  cp -r "$dir/source/charts/kube-lvs" "$dir/chart"
  # In a folder of its own: another lock file's dependencies would not be needed again.
  CARGO_TARGET_DIR=$dir/target IMAGE_SOURCE=$dir/source IMAGE_OUT=$dir IMAGE_TAG=previous IMAGE_PROFILE=quick \
    "$here/../../images/build.sh" >/dev/null 9>&-
  rm -rf "$dir/target"
  touch "$dir/built"
fi
echo "$dir"
