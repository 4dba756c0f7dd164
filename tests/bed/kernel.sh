#!/bin/bash
# Builds the test bed's kernel (User Mode Linux with IPVS) once and prints the path of the binary as its last line.
# With --cached it builds nothing, and fails where there is nothing yet. The result is cached by source version and configuration; an interrupted build goes on where it stopped.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${KUBE_LVS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kube-lvs}
archive=/usr/src/linux-source-6.12.tar.xz

[ -e "$archive" ] || {
  echo "kernel: no $archive. Install Debian's package linux-source-6.12 (tests/bed/packages.sh does)." >&2
  exit 1
}
version=$(dpkg-query -W -f '${Version}' linux-source-6.12 2>/dev/null || stat -c %Y "$archive")
key=${version//[^A-Za-z0-9.+-]/_}-$(sha256sum <"$here/kernel.config" | cut -c1-12)
dir=$cache/kernel/$key
if [ "${1-}" = --cached ]; then # only say whether it has been built
  [ -x "$dir/linux" ] && echo "$dir/linux"
  exit
fi
mkdir -p "$dir"
exec 9>"$dir/lock"
flock -n 9 || { echo "kernel: waiting for another build of it" >&2; flock 9; }

if [ ! -x "$dir/linux" ]; then
  log=$dir/build.log
  fail() { echo "kernel: $1; the end of $log:" >&2; tail -n 20 "$log" >&2; exit 1; }
  # kbuild cannot build in a folder whose name has a space or a colon, and a user's cache folder may have one.
  work=$dir/build
  case $work in *[[:space:]:]*) work=$(dirname "$(mktemp -u)")/kube-lvs-kernel-$(id -u)-$key ;; esac
  mkdir -p "$work"
  if [ ! -e "$work/unpacked" ]; then
    echo "kernel: unpacking $(basename "$archive")" >&2
    rm -rf "$work/src"; mkdir -p "$work/src"
    tar -xf "$archive" -C "$work/src" --strip-components=1 || fail "cannot unpack"
    touch "$work/unpacked"
  fi
  mkdir -p "$work/out"
  make="make -C $work/src O=$work/out ARCH=um"
  if [ ! -e "$work/configured" ]; then
    # merge_config.sh does not quote its arguments, and the path of a checkout may have spaces.
    { $make defconfig && cp "$here/kernel.config" "$work/fragment" &&
      "$work/src/scripts/kconfig/merge_config.sh" -m -O "$work/out" "$work/out/.config" "$work/fragment" &&
      $make olddefconfig; } >"$log" 2>&1 || fail "cannot configure"
    touch "$work/configured"
  fi
  echo "kernel: building Linux ${version%%-*} with IPVS (about six minutes on two cores, once)" >&2
  start=$SECONDS
  $make -j"$(nproc)" linux >>"$log" 2>&1 9>&- &
  build=$!
  trap 'kill $build 2>/dev/null' EXIT
  objects=1361
  while kill -0 $build 2>/dev/null; do
    for _ in $(seq 20); do kill -0 $build 2>/dev/null && sleep 0.5; done
    done_=$(find "$work/out" -name '*.o' 2>/dev/null | wc -l)
    echo "kernel: $((done_ < objects ? done_ * 100 / objects : 99)) % after $((SECONDS - start)) s" >&2
  done
  wait $build || fail "the build failed"
  trap - EXIT
  install -m 755 "$work/out/linux" "$dir/linux.new"
  cp "$work/out/.config" "$dir/config"
  mv "$dir/linux.new" "$dir/linux"
  rm -rf "$work"
  echo "kernel: built in $((SECONDS - start)) s" >&2
fi
echo "$dir/linux"
