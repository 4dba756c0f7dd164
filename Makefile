# Two commands matter: `make demo` and `make test`. Each installs and builds what it needs and says what is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

# The demos need nothing that Debian's packaged kernel lacks: a first run spares the build of ours.
DEMO_KERNEL = export BED_KERNEL=$${BED_KERNEL:-$$(tests/bed/kernel.sh --cached >/dev/null && echo newest || echo debian)}

.PHONY: values demo demo-standalone demo-failover demo-cluster playground test test-cluster test-kind lint bench bench-failover crds images bed
demo: ## both worked examples through a real API server and a real kernel, and a failover
	@$(DEMO_KERNEL); tests/prepare.sh demo && "$${CARGO_TARGET_DIR:-target}"/debug/lvs-demo

demo-standalone: ## the same from files, without any cluster
	@$(DEMO_KERNEL); tests/prepare.sh demo-standalone && "$${CARGO_TARGET_DIR:-target}"/debug/lvs-demo --standalone

demo-failover: ## two directors, one of which loses its cables; from files
	@$(DEMO_KERNEL); tests/prepare.sh demo-failover && "$${CARGO_TARGET_DIR:-target}"/debug/lvs-demo --failover

demo-cluster: ## the chart on a cluster of three nodes with pods: helm install, direct routing, NAT, helm uninstall
	@tests/prepare.sh demo-cluster && images=$$(realpath "$${CARGO_TARGET_DIR:-target}/images-quick") && \
	  BED_IMAGES="$$images" "$$images/programs/lvs-demo" --pods

playground: ## a shell in a running bed, with kubectl, ipvsadm and curl
	@tests/prepare.sh playground
	@"$${CARGO_TARGET_DIR:-target}"/debug/lvs-demo --playground

test: ## every test, on a real kernel and a real API server; one with: make test TEST=name
	@tests/run.sh $(TEST)

test-cluster: ## of these tests only the stories of the chart on three nodes with pods, with the images of make images
	@tests/prepare.sh test-cluster && BED_IMAGES="$$(images/build.sh)" cargo test -p lvs-tests --test suites cluster::

test-kind: ## the script of these stories for docker and kind, to its end, with both played in a guest
	@tests/prepare.sh test-cluster && cargo test -p lvs-tests --test kind

lint: ## formatting, clippy, licences
	@tests/lint.sh

bench: ## cold programming beside ipvsadm, API change to kernel, audit cost, a million connections, what tracking costs
	@tests/prepare.sh bench
	@cargo bench -q -p lvs-ipvs
	@"$${CARGO_TARGET_DIR:-target}"/release/lvs-bench

bench-failover: ## what clients notice of a director's death, beside keepalived; up to an hour
	@tests/prepare.sh bench
	@"$${CARGO_TARGET_DIR:-target}"/release/lvs-bench-failover

crds: ## regenerate the chart's CRDs from the Rust types
	@cargo run -q -p lvs-crds --bin crdgen

images: ## the container images as OCI archives, without a daemon; with their size and digest
	@tests/bed/packages.sh
	@images/build.sh

bed: ## only build what the test bed needs
	@tests/prepare.sh bed

values: ## docs/values.md from the chart's schema
	@UPDATE=1 cargo test -q -p lvs-tests --test suites chart::every_value_is_described
