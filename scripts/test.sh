#!/usr/bin/env bash
# Installs what the tests need and runs them all: the Rust ones, then the black-box ones with real clients.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

scripts/install-prerequisites.sh test
use_rust
scripts/test-environment.sh

step "cargo test"
rust=0
cargo test --workspace --locked --quiet --no-run || fail "the workspace does not build"
cargo test --workspace --locked || rust=$?
step "building the benchmarks"
cargo build --locked --quiet || fail "the server does not build"
cargo build --locked --quiet --manifest-path bench/Cargo.toml || fail "the benchmarks do not build"

step "pytest"
black_box=0
.venv/bin/python -m pytest bench/tests -q || black_box=$?
.venv/bin/python -m pytest tests -q || black_box=$?

[ "$rust" -eq 0 ] || fail "cargo test failed (its summary stands above pytest's)"
exit "$black_box"
