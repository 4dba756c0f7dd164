#!/bin/bash
# Runs every test, prints the slowest ten, and ends with one line: N passed, N failed.
# Usage: run.sh [NAME]      only tests whose name contains NAME
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
tests/prepare.sh test || { echo "0 passed, 1 failed"; exit 1; }

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export BED_DURATIONS=$out/durations
: >"$BED_DURATIONS"
# Guests take a CPU each, so as many tests at once as there are CPUs; the rest waits for its turn.
RUST_TEST_THREADS=$(nproc) cargo test --workspace --no-fail-fast -- ${1:+"$1"} 2>&1 | tee "$out/log" |
  grep --line-buffered -vE '^$|^running 0 tests|0 passed; 0 failed|^   Doc-tests '
status=${PIPESTATUS[0]}

echo
echo "slowest tests (seconds):"
sort -rn "$BED_DURATIONS" | head -n 10
echo
read -r passed failed < <(awk '/^test result:/ {p += $4; f += $6} END {print p + 0, f + 0}' "$out/log")
# A suite that died without a result line is a failure too.
[ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1
echo "$passed passed, $failed failed"
[ "$status" = 0 ] && [ "$failed" = 0 ] && [ "$passed" != 0 ]
