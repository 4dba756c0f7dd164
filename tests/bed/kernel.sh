#!/bin/bash
# Builds a kernel of the test bed (User Mode Linux with IPVS) once and prints the path of the binary as its last line.
# An interrupted build goes on where it stopped.
# Usage: kernel.sh            Linux 6.12, of Debian's package linux-source-6.12; it has virtual time
#        kernel.sh --newest   the newest that Debian backports to its stable release, which catches system calls by seccomp instead
#                             of ptrace: a cluster starts in half the time. Where there is none to be had: the former
#        kernel.sh --cached   the newest if it has been built; builds nothing, and fails where there is nothing yet
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/bed/progress.sh
. "$here/progress.sh"
cache=${KUBE_LVS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kube-lvs}
which=${1-}

config=$(sha256sum <"$here/kernel.config" | cut -c1-12)
if [ -n "$which" ]; then
  # Whichever was the newest when it was built: nobody need ask again.
  key=newest-$config
else
  archive=/usr/src/linux-source-6.12.tar.xz
  [ -e "$archive" ] || {
    echo "kernel: no $archive. Install Debian's package linux-source-6.12 (tests/bed/packages.sh does)." >&2
    exit 1
  }
  version=$(dpkg-query -W -f '${Version}' linux-source-6.12 2>/dev/null || stat -c %Y "$archive")
  key=${version//[^A-Za-z0-9.+-]/_}-$config-yields
fi
dir=$cache/kernel/$key
if [ "$which" = --cached ]; then # only say whether it has been built
  [ -x "$dir/linux" ] && echo "$dir/linux"
  exit
fi
mkdir -p "$dir"
exec 9>"$dir/lock"
flock -n 9 || { echo "kernel: waiting for another build of it" >&2; flock 9; }

# Where the mirror that this system uses has the newest source, put into $work; its packages stay as they are.
fetch_newest() {
  local apt=$work/apt mirror options name
  # shellcheck disable=SC1091,SC2016 # the system's own file; words of apt's
  mirror=$(. /etc/os-release && apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$VERSION_CODENAME" '$1 == release && $2 == "main" {print $3; exit}')
  [ -n "$mirror" ] || { echo "apt has no mirror of this release" >&2; return 1; }
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie-backports main" >"$apt/sources.list"
  cd "$work" || return
  options=(-q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/parts" -o Acquire::Languages=none)
  options+=(-o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)")
  apt-get "${options[@]}" update || return
  name=$(apt-cache "${options[@]}" pkgnames linux-source- | grep -E '^linux-source-[0-9.]+$' | sort -V | tail -n 1)
  apt-get "${options[@]}" download "$name" && dpkg-deb -x "$name"_*.deb deb || return
  mv deb/usr/src/linux-source-*.tar.xz source.tar.xz && rm -rf deb ./*.deb apt
}

# Of how many object files how many are there. The numbers are those of Linux 6.12 and of the newest when this was written.
objects() { echo "$(find "$work/out" -name '*.o' | wc -l) $([ "$which" = --newest ] && echo 1322 || echo 1361)"; }

build() {
  log=$dir/build.log
  fail() { echo "kernel: $1; the end of $log:" >&2; tail -n 20 "$log" >&2; exit 1; }
  # kbuild cannot build in a folder whose name has a space or a colon, and a user's cache folder may have one.
  work=$dir/build
  case $work in *[[:space:]:]*) work=$(dirname "$(mktemp -u)")/kube-lvs-kernel-$(id -u)-$key ;; esac
  mkdir -p "$work"
  if [ ! -e "$work/unpacked" ]; then
    if [ "$which" = --newest ]; then
      archive=$work/source.tar.xz
      [ -e "$archive" ] || (fetch_newest) >"$log" 2>&1 || fail "cannot get the newest source"
    fi
    echo "kernel: unpacking $(basename "$archive")" >&2
    rm -rf "$work/src"; mkdir -p "$work/src"
    tar -xf "$archive" -C "$work/src" --strip-components=1 || fail "cannot unpack"
    # Two processes that forget the same entries of /proc wait for each other by spinning (shrink_dcache_parent), and in virtual
    # time nobody interrupts who computes: the guest stands still. Later kernels sleep there.
    [ "$which" = --newest ] || sed -i '/^void shrink_dcache_parent/,/^}/s/cond_resched();/if (data.found) yield(); else cond_resched();/' "$work/src/fs/dcache.c"
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
  version=$($make -s kernelversion)
  echo "kernel: building Linux $version with IPVS (about six minutes on two cores, once)" >&2
  start=$SECONDS
  $make -j"$(nproc)" linux >>"$log" 2>&1 9>&- &
  build=$!
  trap 'kill $build 2>/dev/null' EXIT
  follow $build "Linux $version" objects
  wait $build || fail "the build failed"
  trap - EXIT
  install -m 755 "$work/out/linux" "$dir/linux.new"
  cp "$work/out/.config" "$dir/config"
  mv "$dir/linux.new" "$dir/linux"
  rm -rf "$work"
  echo "kernel: built in $((SECONDS - start)) s" >&2
}

# One that could not be had is tried again on another day.
tried() { [ "$which" = --newest ] && [ -n "$(find "$dir/failed" -mmin -1440 2>/dev/null)" ]; }
[ -x "$dir/linux" ] || { ! tried && (build); } || {
  [ "$which" = --newest ] || exit 1
  tried || touch "$dir/failed"
  echo "kernel: no newest kernel: 6.12 takes its place, and twice the time" >&2
  flock -u 9
  exec "$here/kernel.sh"
}
echo "$dir/linux"
