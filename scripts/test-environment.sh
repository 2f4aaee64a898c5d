#!/usr/bin/env bash
# Makes .venv (Python clients and tools, pinned) and tests/javascript/node_modules. Quick when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

# Remembers in $1 that $2 was installed from; succeeds when it is still so.
is_fresh() { [ -f "$1" ] && [ "$(cat "$1")" = "$(sha256sum <"$2")" ]; }
remember() { sha256sum <"$2" >"$1"; }

if ! is_fresh .venv/.installed tests/requirements.txt; then
    step "installing the Python tools of the tests into .venv"
    [ -x .venv/bin/python ] || "$(system_python)" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
    remember .venv/.installed tests/requirements.txt
fi

if ! is_fresh tests/javascript/node_modules/.installed tests/javascript/package-lock.json; then
    step "installing the JavaScript clients of the tests"
    (cd tests/javascript && npm ci --no-audit --no-fund --loglevel=error >&2)
    remember tests/javascript/node_modules/.installed tests/javascript/package-lock.json
fi
