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

log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
pids=()
background() { # NAME COMMAND...: its progress (standard error) is shown, its result is not
  local name=$1
  shift
  { "$@" >"$log/$name" || { touch "$log/$name.failed"; }; } &
  pids+=($!)
}
kernels() {
  tests/bed/kernel.sh && tests/bed/newest-kernel.sh
}
case ${BED:-uml}:${BED_KERNEL:-}:$what in
  *:newest:* | *:playground | *:demo-cluster | *:test-cluster | host:*:test) background kernel tests/bed/newest-kernel.sh ;;
  host:*) ;; # the host's own kernel
  *:debian:demo | *:debian:demo-standalone | *:debian:demo-failover) ;; # the packaged kernel
  *) background kernel kernels ;;
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
  *) background control-plane programs ;;
esac
workspace() {
  case $what in
    bed) ;;
    test) cargo build --workspace --bins && cargo test --workspace --no-run && tests/bed/images.sh && tests/bed/previous.sh ;;
    test-cluster) cargo test -p lvs-tests --test suites --no-run && tests/bed/previous.sh ;;
    demo-cluster) IMAGE_WITH='-p lvs-tests --bin lvs-demo' tests/bed/images.sh ;; # for one target, as compiling is most of it
    bench) cargo build --release -p lvs-agent -p lvs-operator -p lvs-tests --bin lvs-agent --bin lvs-operator --bin lvs-bench --bin lvs-bench-failover ;;
    *) cargo build --workspace --bins ;;
  esac >/dev/null
}
workspace || touch "$log/workspace.failed"
for pid in "${pids[@]}"; do wait "$pid" || true; done
failed=$(cd "$log" && { ls -- *.failed 2>/dev/null || true; } | sed 's/\.failed//' | tr '\n' ' ')
[ -z "$failed" ] || { echo "prepare: could not build: $failed(the reason is above)" >&2; exit 1; }
