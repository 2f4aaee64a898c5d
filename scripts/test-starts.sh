#!/usr/bin/env bash
# Starts and ends many instances and checks that nothing is left. usage: scripts/test-starts.sh STARTS
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
step "starting $1 instances"
WUWEI_STARTS=$1 exec .venv/bin/python -m pytest tests/test_starts.py -q -s -k many
