# Thin on purpose: each target is a line or two that can be typed by hand.
.PHONY: help demo test lint bench images tools

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: ## one node boots from SMD's inventory through the four programs; ARGS=--once ends after the story
	@echo "building the programs (release; a few minutes the first time) ..."
	@cargo build --release --locked --workspace --bins
	@target/release/demo $(ARGS)

test: tools ## every test with real clients, in network namespaces of its own; installs the tools it needs (root or sudo)
	@echo "building the programs and the tests ..."
	cargo build --locked --workspace --all-targets
	.ci/with-engine .ci/as-root .ci/images
	PATH="$$PATH:$(CURDIR)/target/tools" .ci/with-engine cargo test --locked --workspace --no-fail-fast --config "target.'cfg(unix)'.runner='$(CURDIR)/.ci/as-root'"

lint: ## formatting, clippy and documentation, warnings are errors
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --locked --workspace --no-deps --document-private-items --quiet

bench: ## figures beside peers, in one run (two cores); PARTS="look-ups refresh change start dhcp dns" chooses; installs the peers
	@.ci/tools lib/testkit/bench-tools.txt
	@.ci/coredns
	@echo "building the programs (release; a few minutes the first time) ..."
	@cargo build --release --locked --workspace --bins
	@.ci/as-root target/release/bench $(PARTS)

images: ## the container images coresmd and coresmd-play; compose.yaml says what of them runs
	CORESMD_COMMIT=$$(git describe --always --dirty --abbrev=12) SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) docker compose build net smd-sim

tools: ## installs what the tests need: Debian packages, grpcurl, Docker
	.ci/engine install
	.ci/tools
