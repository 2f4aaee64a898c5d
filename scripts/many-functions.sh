#!/usr/bin/env bash
# Compares a server with ten thousand functions with one that has ten (tests/many), and writes docs/many-functions.md.
#
# usage: scripts/many-functions.sh [--functions 10000] [--rounds 40] [--report FILE]
#
# The binary is the release build, or the one that WUWEI_BINARY names.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

scripts/install-prerequisites.sh test
scripts/test-environment.sh
if [ -z "${WUWEI_BINARY:-}" ]; then
    use_rust
    step "building wuwei (release)"
    nice cargo build --release --locked --package wuwei
    export WUWEI_BINARY=$PWD/target/release/wuwei
fi
step "measuring"
PYTHONPATH=tests exec .venv/bin/python -m many "$@"
