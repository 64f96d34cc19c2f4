# Throome. `make` alone says what there is; the first two commands anybody needs are `make run` and `make test`.

# What `make run` and the end-to-end tests build: optimised, without a link-time pass. `make install` takes `release`.
PROFILE ?= fast
TARGET  := $(or $(CARGO_TARGET_DIR),target)
BIN      = $(abspath $(TARGET))/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/throome
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

.PHONY: mock example
mock: ## Start the mock servers: HTTP 3000, WebSocket 3001, server-sent events 3002
	@exec test/mock/run.sh

example: ## Run an example with all that it needs: NAME=basic, websocket-chat, sse-dashboard or microservices
	@[ -x "examples/$(NAME)/run.sh" ] || { echo "say which: make example NAME=basic (examples/README.md has all)" >&2; exit 2; }
	@exec "examples/$(NAME)/run.sh"

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

# Testing. A whole run builds everything once, and unoptimised: the program with all its assertions on, and its tests. A
# part of it asks the program that `make run` has.

# Servers that tests need are started by scripts/servers.sh. Those that several tests share are left running, unless it
# was `make test` that started them.

# Containers run on an engine of scripts/docker.sh, from images that it makes: .cache/images.

.PHONY: test test-unit test-integration e2e test-verbose test-watch test-setup test-teardown test-images
# Many of them wait for what takes its time.
test: export RUST_TEST_THREADS ?= $(shell n=$$(nproc); echo $$((n < 3 ? 3 : n)))
test: PROFILE := dev
test: deps check ## Install what the tests need, start servers, run all tests, stop the servers
	cargo build --workspace --all-targets
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
	@scripts/docker.sh start

test-teardown: ## Stop the servers that scripts/servers.sh and scripts/docker.sh started
	@scripts/docker.sh stop
	@scripts/servers.sh stop

test-images: export THROOME_TEST_IMAGES = official
test-images: ## The tests of provisioning on the official images, which the engine pulls; ARGS go to cargo test
	scripts/servers.sh with redis -- cargo test --package throome-engines --test images $(ARGS)
	scripts/servers.sh with redis -- cargo test --package throome-provision $(ARGS)

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

bench benchmark: ## Compare with nginx, HAProxy, Envoy, Traefik, Caddy, webdis; ARGS are those of scripts/bench.sh
	@scripts/bench.sh $(ARGS)

.PHONY: docker-build docker-run docker-test release
docker-build: ## Build the image akshitmadan/throome:latest; ARGS are those of deploy/docker/build.sh
	@deploy/docker/build.sh $(ARGS)

docker-run: ## Run that image here, with Compose
	docker compose --file deploy/docker/docker-compose.yml up

docker-test: ## Start that image, and wait until it says that it is healthy
	@deploy/docker/test.sh

release: ## Make what is shipped, in dist/: archive, bill of materials, image, sums; ARGS are those of cargo xtask release
	cargo xtask release $(ARGS)

# Known names whose part is not built yet, or never will be: each says so in a line, and exits with 2.

.PHONY: web proto test-race migrate-up migrate-down
web:
	@echo "web: the dashboard is not built yet; ROADMAP.md says when" >&2; exit 2
proto:
	@echo "proto: gRPC is not built yet; ROADMAP.md says when" >&2; exit 2
test-race:
	@echo "test-race: there is no race detector to run: without unsafe code, which is forbidden here, a data race does not compile" >&2; exit 2
migrate-up migrate-down:
	@echo "$@: there is nothing to do by hand: the gateway brings its own store up to date when it starts" >&2; exit 2
