#!/bin/bash
# Makes everything that a run needs: packages, the test bed's kernel, the control plane, our programs. What is independent
# is built side by side. Each part is cached; a second call takes seconds.
# Usage: prepare.sh demo | demo-standalone | demo-failover | demo-cluster | playground | test | test-cluster | bench | bed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
what=$1

command -v cargo >/dev/null || { echo "prepare: no cargo on the PATH. Install Rust 1.89 or newer (Debian's own is older; rustup has it)." >&2; exit 1; }
[ "$(uname -s)" = Linux ] || { echo "prepare: the test bed runs on Linux only." >&2; exit 1; }
[ "$(uname -m)" = x86_64 ] || { echo "prepare: the test bed's kernel (User Mode Linux) runs on x86_64 only; this is $(uname -m)." >&2; exit 1; }
tests/bed/packages.sh

# shellcheck source=tests/parts.sh
. tests/parts.sh
kernels() {
  tests/bed/kernel.sh && tests/bed/newest-kernel.sh
}
case ${BED:-uml}:${BED_KERNEL:-}:$what in
  *:newest:* | *:playground | *:demo-cluster | *:test-cluster | host:*:test) part kernel tests/bed/newest-kernel.sh ;;
  host:*) ;; # the host's own kernel
  *:debian:demo | *:debian:demo-standalone | *:debian:demo-failover) ;; # the packaged kernel
  *) part kernel kernels ;;
esac
# One after the other: side by side they would compile twice what they have in common.
programs() {
  case $what in
    test) tests/bed/oldest.sh && tests/bed/cluster.sh ;; # the newest control plane comes first
    test-cluster | demo-cluster) tests/bed/control-plane.sh && tests/bed/cluster.sh ;;
    *) tests/bed/control-plane.sh ;;
  esac
}
case $what in
  demo-standalone | demo-failover) ;;
  *) part 'control plane' programs ;;
esac
cargo_build() { with_cargo "our programs" cargo build "$@"; }
workspace() {
  case $what in
    test) cargo_build --workspace --bins && with_cargo tests cargo test --workspace --no-run &&
      with_cargo images tests/bed/images.sh && with_cargo "the version before" tests/bed/previous.sh ;;
    test-cluster) with_cargo tests cargo test -p lvs-tests --test suites --no-run && with_cargo "the version before" tests/bed/previous.sh ;;
    demo-cluster) IMAGE_WITH='-p lvs-tests --bin lvs-demo' with_cargo images tests/bed/images.sh ;; # for one target, as compiling is most of it
    bench) cargo_build --release -p lvs-agent -p lvs-operator -p lvs-tests --bin lvs-agent --bin lvs-operator --bin lvs-bench --bin lvs-bench-failover ;;
    *) cargo_build --workspace --bins ;;
  esac
}
[ "$what" = bed ] || part programs workspace
await_parts
