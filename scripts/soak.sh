#!/usr/bin/env bash
# Hostile and honest functions together for many minutes, on one server whose counts must stay flat (tests/soak).
#
# usage: scripts/soak.sh [--minutes 60] [--seed 1] [--report FILE]
#
# Writes docs/soak.md (target/soak.md when it is shorter than half an hour). The binary is the release build, or the one
# that WUWEI_BINARY names. Needs root: sandboxes have networks only then.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

[ "$(id -u)" = 0 ] || fail "the soak needs root" "sudo make soak"
scripts/install-prerequisites.sh test
scripts/test-environment.sh
if [ -z "${WUWEI_BINARY:-}" ]; then
    use_rust
    step "building wuwei (release)"
    nice cargo build --release --locked --package wuwei
    export WUWEI_BINARY=$PWD/target/release/wuwei
fi
step "soaking"
PYTHONPATH=tests exec .venv/bin/python -m soak "$@"
