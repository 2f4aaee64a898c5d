#!/usr/bin/env bash
# Formatting, lints, licences of dependencies, Python style. Known vulnerabilities need the network: `make audit`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

scripts/install-prerequisites.sh test
use_rust
scripts/test-environment.sh
scripts/install-cargo-deny.sh

step "cargo fmt"
cargo fmt --all --check
cargo fmt --manifest-path bench/Cargo.toml --all --check
step "cargo clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings
cargo clippy --manifest-path bench/Cargo.toml --workspace --all-targets --locked -- -D warnings
cargo clippy --package wuwei-sandbox --all-targets --features defence-switches --locked -- -D warnings
step "cargo deny"
cargo deny --locked check bans licenses sources
step "ruff"
.venv/bin/ruff check .
