#!/usr/bin/env bash
# Runs one file of the black-box tests with settings of its own. usage: scripts/test-some.sh TITLE NAME=VALUE… FILE
#
# The binary is the development build, or the one that WUWEI_BINARY names.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

title=$1
shift
scripts/install-prerequisites.sh test
scripts/test-environment.sh
if [ -z "${WUWEI_BINARY:-}" ]; then
    use_rust
    cargo build --locked --quiet
fi
while [[ $1 == *=* ]]; do
    export "${1?}"
    shift
done
step "$title${WUWEI_SEED:+, seed $WUWEI_SEED}"
exec .venv/bin/python -m pytest "$1" -q
