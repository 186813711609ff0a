# defib's commands. `make help` lists them; everything that a fresh Debian or Ubuntu machine lacks besides Rust and Go is
# installed by them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
TOOLS := $(CACHE)/defib-tools
DENY_VERSION := 0.20.2
BIN := target/release
# The lab needs root: namespaces, cgroups and mounts are root's.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -E)
AS_ROOT := $(if $(SUDO),--config 'target."cfg(unix)".runner = "sudo -E"')

.PHONY: help demo rehearse lab-possible test policy build setup lab-up lab-down drill drill-ten bench simulate fuzz mutants demo-down clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@deploy/setup.sh

build: setup ## build the program and the lab
	@echo "== building defib and its lab (a few minutes the first time)"
	cargo build --release --locked -p defib -p defib-lab

demo: lab-possible build ## raise a real control plane, break it, watch defib recover it; KEEP=1 leaves it up, with the dashboard
	@$(BIN)/defib-lab build
	@$(SUDO) rm -rf target/demo
ifdef KEEP
	@$(SUDO) deploy/demo-keep.sh $(BIN)
else
	@$(SUDO) $(BIN)/defib-lab drill back-off --keep target/demo
endif

lab-possible:
	@deploy/lab-possible.sh

STORY ?= incident-a
rehearse: ## watch an outage on a modelled cluster, on any system, without root (STORY=incident-b; defib rehearse --list)
	@echo "== building defib (a few minutes the first time; needs only Rust and protoc)"
	cargo build --release --locked -p defib
	@$(BIN)/defib rehearse $(STORY)

demo-down: ## take away what `make demo KEEP=1` left up
	@$(SUDO) $(BIN)/defib-lab down

test: setup ## run every test, those on the lab of real parts too
	@echo "== building (a few minutes the first time)"
	cargo build --locked -p defib -p defib-lab
	target/debug/defib-lab build
	cargo test --locked --workspace $(AS_ROOT)

policy: ## formatting, lints, licences and sources of the dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@test -x "$(TOOLS)/bin/cargo-deny" || { echo "== installing cargo-deny $(DENY_VERSION) once into $(TOOLS)"; \
	  cargo install --quiet --root "$(TOOLS)" --locked --version $(DENY_VERSION) cargo-deny; }
	"$(TOOLS)/bin/cargo-deny" --offline check bans licenses sources || "$(TOOLS)/bin/cargo-deny" check bans licenses sources

lab-up: build ## raise the lab and leave it up
	@$(BIN)/defib-lab build
	@$(SUDO) $(BIN)/defib-lab up

lab-down: ## take the lab down
	@$(SUDO) $(BIN)/defib-lab down

drill: build ## run the drill back-off once
	@$(BIN)/defib-lab build
	@$(SUDO) $(BIN)/defib-lab drill back-off

WITH ?= 10
drill-ten: WITHOUT ?= 3
drill-ten: build ## run the drill back-off ten times with defib and three times without (WITH=10 WITHOUT=3), about an hour
	@$(BIN)/defib-lab build
	@$(SUDO) rm -rf target/drill-ten
	@$(SUDO) $(BIN)/defib-lab repeat back-off --with $(WITH) --without $(WITHOUT) --keep target/drill-ten

simulate: ## play the program against a modelled cluster by seeds chosen afresh (SEEDS=1000), one with its story (SEED=n), or without a guard (WITHOUT=quorum)
	@$(if $(SEED),SEED=$(SEED),SEEDS=$(or $(SEEDS),$(if $(WITHOUT),2000,1000))) $(if $(WITHOUT),WITHOUT=$(WITHOUT)) cargo test --quiet --locked --profile simulate -p defib --test simulation

bench: setup ## measure everything that docs/performance.md shows, on real parts (QUICK=1: a tenth of the samples)
	@echo "== building (a few minutes the first time)"
	cargo build --release --locked -p defib -p defib-lab -p defib-bench
	@$(BIN)/defib-lab build
	@mkdir -p target/bench
	@$(SUDO) $(BIN)/defib-bench $(if $(QUICK),--quick) --json target/bench/figures.json \
	  $$(blackbox=$$(tests/bench/blackbox.sh); [ -z "$$blackbox" ] || echo "--blackbox $$blackbox")

FUZZ_VERSION := 0.13.2
TARGET ?= playbook
SECONDS ?= 60
fuzz: setup ## hand in bad input, led by what it reaches in the code (TARGET=recording SECONDS=600; tests/bad_input/targets.rs names them)
	@test -x "$(TOOLS)/bin/cargo-fuzz" || { echo "== installing cargo-fuzz $(FUZZ_VERSION) once into $(TOOLS)"; \
	  cargo install --quiet --root "$(TOOLS)" --locked --version $(FUZZ_VERSION) cargo-fuzz; }
	CORPUS="$(CURDIR)/target/fuzz/corpus" cargo test --quiet --locked -p defib --test bad_input
	CARGO_TARGET_DIR="$(CURDIR)/target/fuzz" RUSTC_BOOTSTRAP=1 TARGET=$(TARGET) "$(TOOLS)/bin/cargo-fuzz" run --fuzz-dir tests/fuzz \
	  --sanitizer none any target/fuzz/corpus/$(TARGET) -- -max_total_time=$(SECONDS) -max_len=65536 -rss_limit_mb=1024 -timeout=20 -artifact_prefix=target/fuzz/

MUTANTS_VERSION := 27.1.0
MUTATED = --package defib-engine --file 'src/engine/check/*.rs' --file src/engine/ledger.rs $(if $(ONLY),--re '$(ONLY)') \
  --output target/mutants --baseline skip --timeout 120 --cargo-arg=--locked
mutants: setup ## change the checks and the ledger one operator at a time, and see which change no test notices: hours (ONLY=not_isolated: a part)
	@test -x "$(TOOLS)/bin/cargo-mutants" || { echo "== installing cargo-mutants $(MUTANTS_VERSION) once into $(TOOLS)"; \
	  cargo install --quiet --root "$(TOOLS)" --locked --version $(MUTANTS_VERSION) cargo-mutants; }
	@# No first run without a change, for `make test` is that; the scenarios are played where the engine's own tests noticed
	@# nothing. Survivors end it with 2, a test that ran too long with 3.
	CARGO_PROFILE_DEV_DEBUG=0 "$(TOOLS)/bin/cargo-mutants" mutants $(MUTATED) \
	  --test-package defib-engine --cargo-arg=--lib || [ $$? = 2 ] || [ $$? = 3 ]
	FAIL_FAST=1 CARGO_PROFILE_DEV_DEBUG=0 "$(TOOLS)/bin/cargo-mutants" mutants $(MUTATED) --iterate \
	  --test-package defib --cargo-arg=--test=scenarios || [ $$? = 2 ] || [ $$? = 3 ]
	@echo "== survivors are in target/mutants/mutants.out/missed.txt; docs/mutation.md says why the known ones are left"

clean: ## remove what was built
	cargo clean
