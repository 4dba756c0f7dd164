#!/bin/bash
# Formatting, clippy with warnings as errors, shell syntax, and the licences and sources of our dependencies.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=${KUBE_LVS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kube-lvs}
deny=0.20.2
actionlint=1.7.12

cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings
cargo clippy -p lvs-tests --test kind --quiet -- -D warnings
for script in findings/*.sh tests/*.sh tests/bed/*.sh tests/kind/*.sh images/*.sh .ci/run; do bash -n "$script"; done
shellcheck -x -P SCRIPTDIR findings/*.sh tests/kind/run.sh tests/kind/played/* images/build.sh tests/{parts,prepare}.sh tests/bed/{cluster,kernel,newest-kernel,node,images,oldest,previous,progress}.sh
# The workflow of a public forge runs there only: this is all that is known of it here.
[ -x "$cache/tools/bin/actionlint" ] && "$cache/tools/bin/actionlint" --version | grep -q "^v\?$actionlint$" || {
  echo "lint: building actionlint $actionlint (once)" >&2
  GOFLAGS='' GOBIN="$cache/tools/bin" go install "github.com/rhysd/actionlint/cmd/actionlint@v$actionlint"
}
"$cache/tools/bin/actionlint" .github/workflows/*.yaml
# cargo-deny's advisory check needs its database from the internet: not run here.
[ -x "$cache/tools/bin/cargo-deny" ] && "$cache/tools/bin/cargo-deny" --version | grep -q " $deny$" || {
  echo "lint: building cargo-deny $deny (once)" >&2
  cargo install --quiet --locked --root "$cache/tools" "cargo-deny@$deny"
}
# It looks at the packages for every system, and builds fetch those for this one.
cargo fetch --locked --quiet
"$cache/tools/bin/cargo-deny" --log-level error --offline check bans licenses sources
echo "lint: clean"
