SHELL := /bin/bash
.DEFAULT_GOAL := help
MINUTES ?= 60
STARTS ?= 10000
REQUESTS ?= 100000
.PHONY: help demo test test-vm test-starts test-requests test-faults soak build lint audit bench bench-quick bench-functions fuzz miri

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## Build, start a server, deploy the examples and call them; Ctrl-C stops it
	@scripts/demo.sh

test: ## Install what the tests need and run them all
	@scripts/test.sh

test-vm: ## Run the sandbox's tests in virtual machines: cgroup v2, delegated, container, v1, hybrid
	@scripts/test-vm.sh

test-starts: ## Start and end 10,000 instances, and check that nothing is left (STARTS=n for others)
	@scripts/test-starts.sh $(STARTS)

test-requests: ## Send 100,000 requests by chance, in and outside of the service model (REQUESTS=n for others)
	@scripts/test-some.sh "sending $(REQUESTS) requests" WUWEI_REQUESTS=$(REQUESTS) WUWEI_SEED=$$RANDOM tests/test_any_request.py

test-faults: ## Make each step of every change of functions and layers fail: full disk, lost write, kill (6 minutes)
	@scripts/test-some.sh "making steps fail" WUWEI_FAULTS=all tests/test_faults.py

soak: ## Hostile and honest functions for an hour (MINUTES=n), counts must stay flat; writes docs/soak.md
	@scripts/soak.sh --minutes $(MINUTES)

build: ## Build target/release/wuwei
	@scripts/install-prerequisites.sh demo
	@. scripts/common.sh; use_rust; cargo build --release --locked --package wuwei

lint: ## Check formatting, lints, licences and Python style
	@scripts/lint.sh

audit: ## Check the dependencies for known vulnerabilities (downloads the RustSec database)
	@scripts/install-cargo-deny.sh
	@. scripts/common.sh; use_rust; cargo deny check advisories

bench: ## Measure wuwei beside bare floors and peers, about half an hour (ONLY=cold-python: one group); writes docs/benchmarks.md
	@scripts/bench.sh

bench-quick: ## The same in about 8 minutes with too few samples to quote; writes bench/results/latest.md
	@scripts/bench.sh --quick

bench-functions: ## A server with 10,000 functions beside one with 10: latencies, start, memory; writes docs/many-functions.md
	@scripts/many-functions.sh

fuzz: ## Run each fuzz target in turn, MINUTES (30) long each; writes docs/fuzzing.md
	@scripts/fuzz.sh

miri: ## Run the tests that Miri can, with a nightly Rust: undefined behaviour in and around `sys`
	@scripts/miri.sh
