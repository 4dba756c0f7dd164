# The images, for whoever has docker: docker buildx build --target agent --platform linux/amd64,linux/arm64 -t NAME .
# `make images` packs the same without a daemon. In both there is one static program and nothing else, no shell.
FROM --platform=$BUILDPLATFORM rust:1.95-bookworm AS build
ARG TARGETARCH
# ring has C files. Clang compiles for both architectures, and musl comes with Rust's own target.
RUN apt-get update && apt-get install -y --no-install-recommends clang llvm lld musl-dev && rm -rf /var/lib/apt/lists/*
RUN case "$TARGETARCH" in amd64) echo x86_64 ;; arm64) echo aarch64 ;; *) exit 1 ;; esac >/machine \
 && rustup target add "$(cat /machine)-unknown-linux-musl"
WORKDIR /src
COPY . .
ENV CC_x86_64_unknown_linux_musl=clang CC_aarch64_unknown_linux_musl=clang AR_aarch64_unknown_linux_musl=llvm-ar \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld \
    RUSTFLAGS="--remap-path-prefix=/usr/local/cargo=/cargo"
RUN target=$(cat /machine)-unknown-linux-musl \
 && cargo build --locked --release --target "$target" -p lvs-agent -p lvs-operator --bin lvs-agent --bin lvs-operator \
 && mkdir /programs && cp "target/$target/release/lvs-agent" "target/$target/release/lvs-operator" /programs/

# Root, since capabilities that Kubernetes adds are of no effect for anybody else.
FROM scratch AS agent
COPY --from=build /programs/lvs-agent /lvs-agent
USER 0:0
ENTRYPOINT ["/lvs-agent"]

FROM scratch AS operator
COPY --from=build /programs/lvs-operator /lvs-operator
USER 65532:65532
ENTRYPOINT ["/lvs-operator"]
