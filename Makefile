# Throome. `make` alone says what there is; the first two commands anybody needs are `make run` and `make test`.

# What `make run` and the end-to-end tests build: optimised, without a link-time pass. `make install` takes `release`.
PROFILE ?= fast
TARGET  := $(or $(CARGO_TARGET_DIR),target)
BIN     := $(abspath $(TARGET))/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/throome
# Arguments of what is run: make run ARGS="--port 9001", make test-unit ARGS="-p throome-policy"
ARGS    ?=
PREFIX  ?= /usr/local
SHELL   := bash
.SHELLFLAGS := -euo pipefail -c
# Cargo shares the cores out itself.
.NOTPARALLEL:

.PHONY: help
help: ## Say what there is
	@echo "make run             builds Throome and starts it with a cluster to try things on"
	@echo "make test            installs what the tests need, and runs all of them"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## /{ split($$1, names, /[: ]/); printf "make %-17s %s\n", names[1], $$2 }' $(firstword $(MAKEFILE_LIST))

# Running

.PHONY: run dev
run: build-gateway ## Build, then `throome dev`; ARGS are its flags
	@exec "$(BIN)" dev $(ARGS)

dev: ## The same, built and started again whenever a source changes
	@exec scripts/watch.sh $(MAKE) --no-print-directory run ARGS="$(ARGS)"

# Building

.PHONY: all build build-gateway build-cli install clean init-project
all: check build test ## Check, build and test

build: build-gateway build-cli ## Build bin/throome and bin/throome-cli

build-gateway: ## Build bin/throome
	@scripts/setup.sh build
	@cargo build --profile $(PROFILE) --package throome
	@mkdir -p bin && ln -sf "$(BIN)" bin/throome

build-cli: build-gateway ## Build bin/throome-cli: the same program, which by that name carries the commands alone
	@ln -sf throome bin/throome-cli

install: ## Build for release and install below PREFIX (/usr/local)
	cargo build --profile release --package throome
	install -D -m 755 "$(TARGET)/release/throome" "$(DESTDIR)$(PREFIX)/bin/throome"
	ln -sf throome "$(DESTDIR)$(PREFIX)/bin/throome-cli"

clean: ## Take away what was built
	cargo clean
	rm -rf bin

init-project: ## Make throome.yaml and clusters/ here, where they are not
	@mkdir -p clusters
	@[ -e throome.yaml ] || cp configs/throome.example.yaml throome.yaml
	@echo "throome.yaml and clusters/ are there; \`make run\` uses both"

.PHONY: create-cluster
create-cluster: build-cli ## Create a cluster in a running gateway: NAME=Shop [FILE=configs/cluster.example.yaml]
	@[ -n "$(NAME)" ] || { echo "say which: make create-cluster NAME=Shop [FILE=cluster.yaml]" >&2; exit 2; }
	@bin/throome-cli cluster create --name "$(NAME)" $(if $(FILE),--file "$(FILE)")

# Testing. One profile for checks and tests, another for the program that the end-to-end tests run: what a test
# asks of itself is written to be quick unoptimised, what it asks of the program is not.

# Servers that tests need are started by scripts/servers.sh. Those that several tests share are left running, unless it
# was `make test` that started them.

.PHONY: test test-unit test-integration e2e test-verbose test-watch test-setup test-teardown
test: deps check build-gateway ## Install what the tests need, start servers, run all tests, stop the servers
	THROOME_BIN="$(BIN)" scripts/servers.sh with all -- cargo test --workspace --no-fail-fast

test-unit: ## Tests of the crates, which do not need the built program; ARGS go to cargo test
	cargo test --workspace --exclude throome-e2e --exclude throome-bench $(ARGS)

test-integration e2e: build-gateway ## End-to-end tests against the built program; ARGS go to cargo test
	THROOME_BIN="$(BIN)" cargo test --package throome-e2e $(ARGS)

test-verbose: build-gateway ## All tests, with what they print
	THROOME_BIN="$(BIN)" cargo test --workspace --no-fail-fast -- --nocapture

test-watch: ## The unit tests, again whenever a source changes
	@exec scripts/watch.sh $(MAKE) --no-print-directory test-unit ARGS="$(ARGS)"

test-setup: deps ## Install what building and testing need, and start the servers of the tests; they run on
	@scripts/servers.sh start all

test-teardown: ## Stop the servers that scripts/servers.sh started
	@scripts/servers.sh stop

.PHONY: test-coverage
test-coverage: ## Coverage of the tests; needs cargo-llvm-cov
	@cargo llvm-cov --version >/dev/null 2>&1 || { echo "test-coverage: needs cargo-llvm-cov (cargo install cargo-llvm-cov)" >&2; exit 2; }
	cargo llvm-cov --workspace --exclude throome-e2e --exclude throome-bench

# Checking

.PHONY: check fmt lint vet tidy deps tools install-tools deps-update
deps tools install-tools: ## Install what building and testing need
	@scripts/setup.sh

check: ## Formatting and lints, as the tests want them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings

fmt: ## Format
	cargo fmt --all

lint: ## Lints alone
	cargo clippy --workspace --all-targets -- --deny warnings

vet: ## Types alone: the quickest answer
	cargo check --workspace --all-targets

tidy: fmt ## Format, then the rules of the house: layers, names of kinds, lengths, links
	cargo test --package xtask

deps-update: ## Newer versions of what we depend on, within Cargo.toml's bounds
	cargo update

# Making

.PHONY: generate swagger bench benchmark
generate swagger: ## Write what is generated and checked in: contract/*.json
	cargo xtask generate

bench benchmark: ## Compare with nginx, HAProxy and webdis; ARGS are those of scripts/bench.sh
	@scripts/bench.sh $(ARGS)

# Known names whose part is not built yet, or never will be: each says so in a line, and exits with 2.

.PHONY: web proto docker-build docker-run docker-test test-race migrate-up migrate-down
web:
	@echo "web: the dashboard is not built yet; ROADMAP.md says when" >&2; exit 2
proto:
	@echo "proto: gRPC is not built yet; ROADMAP.md says when" >&2; exit 2
docker-build docker-run docker-test:
	@echo "$@: images come with provisioning, which is not built yet; ROADMAP.md says when" >&2; exit 2
test-race:
	@echo "test-race: there is no race detector to run: without unsafe code, which is forbidden here, a data race does not compile" >&2; exit 2
migrate-up migrate-down:
	@echo "$@: there is nothing to do by hand: the gateway brings its own store up to date when it starts" >&2; exit 2
