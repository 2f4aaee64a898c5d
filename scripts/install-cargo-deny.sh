#!/usr/bin/env bash
# Installs cargo-deny when it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

cargo deny --version >/dev/null 2>&1 && exit
step "building cargo-deny (once, some minutes)"
use_rust
cargo install --locked cargo-deny --version 0.20.2
