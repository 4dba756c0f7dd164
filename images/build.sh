#!/bin/bash
# Builds the container images as OCI archives, without a daemon, and prints the folder they are in as its last line:
# lvs-agent.tar, lvs-operator.tar, and beside each its bill of materials (.spdx.json) and its digest (.digest).
# The same commit gives the same digests, wherever it is built with the same Rust. IMAGE_REGISTRY and IMAGE_TAG name them.
# For tests: IMAGE_PROFILE=quick builds without optimisation, IMAGE_SOURCE is another workspace with the same programs,
# IMAGE_OUT another folder, IMAGE_WITH further words for cargo; what it builds is in programs/ there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
here=$PWD
profile=${IMAGE_PROFILE:-release}
registry=${IMAGE_REGISTRY:-localhost/kube-lvs}
IMAGE_WITH=${IMAGE_WITH:-}
tag=${IMAGE_TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)}
builds=${CARGO_TARGET_DIR:-$PWD/target}
machine=$(uname -m)

# musl by choice: its static programs look names up without a plugin of the system's. Where there is no musl, glibc's
# static programs will do, since what they talk to in a cluster has an address.
target=$machine-unknown-linux-musl
has_target() { [ -d "$(rustc --print target-libdir --target "$1" 2>/dev/null)" ]; }
has_target "$target" || { command -v rustup >/dev/null && rustup target add "$target" >&2; } || true
flags=()
if ! has_target "$target" || ! command -v musl-gcc >/dev/null; then
  echo "images: no Rust target $target or no musl-gcc (package musl-tools): building static programs with glibc" >&2
  target=$machine-unknown-linux-gnu
  flags+=(-C target-feature=+crt-static)
fi

cd "${IMAGE_SOURCE:-.}"
out=${IMAGE_OUT:-$builds/images$([ "$profile" = release ] || echo "-$profile")}
# Nothing of this machine's paths may be in a program: a panic's message has the path of its source.
# In what is built for tests it may: then what does not change is built once, wherever the checkout is.
limit=()
if [ "$profile" != quick ]; then
  # Without optimisation they are several times as large.
  limit=(--limit 15)
  flags+=("--remap-path-prefix=$PWD=/src" "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo")
  flags+=("--remap-path-prefix=$(rustc --print sysroot)=/rust")
fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
# Flags that have spaces in them: separated by the byte 0x1f.
# shellcheck disable=SC2086 # several words
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}") \
  cargo build --locked --profile "$profile" --config 'profile.quick.inherits="dev"' --config 'profile.quick.strip=true' \
  --target "$target" --target-dir "$builds" -p lvs-agent -p lvs-operator --bin lvs-agent --bin lvs-operator $IMAGE_WITH >&2
cargo run --quiet --locked --manifest-path "$here/Cargo.toml" --target-dir "$builds" -p lvs-images -- \
  --programs "$builds/$target/$profile" --target "$target" --registry "$registry" --tag "$tag" --out "$out" "${limit[@]}" >&2
ln -sfn "$(realpath "$builds/$target/$profile")" "$out/programs"
echo "$out"
