#!/bin/bash
# Prints, as its last line, a folder in which `modprobe -d` finds the modules of Debian's packaged kernel.
# The package's own folder has no modules.dep and is not ours to write to.
set -euo pipefail
cache=${KUBE_LVS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kube-lvs}
package=/usr/lib/uml/modules
[ -d "$package" ] || {
  echo "modules: no $package. Install Debian's package user-mode-linux (tests/bed/packages.sh does)." >&2
  exit 1
}
version=$(ls "$package" | sort -V | tail -n 1)
dir=$cache/modules/$version
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
if [ ! -e "$dir/done" ]; then
  rm -rf "$dir/lib"
  mkdir -p "$dir/lib/modules"
  cp -r "$package/$version" "$dir/lib/modules/$version"
  /sbin/depmod -b "$dir" "$version"
  touch "$dir/done"
fi
echo "$dir"
