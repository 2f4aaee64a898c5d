#!/usr/bin/env bash
# Builds wuwei and the measuring programs, installs the peers at pinned versions into bench/.tools, and measures.
# Arguments are those of `python -m comparison`: --quick, --only TEXT,…, --list; `--render FILE` builds nothing and writes
# an earlier run's page to standard output. ONLY in the environment does what --only does. A peer that cannot be installed is named in the
# result with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

python=$(system_python)
if [ "${1:-}" = --render ]; then
    PYTHONPATH=bench exec "$python" -m comparison "$@"
fi
[ -z "${ONLY:-}" ] || set -- "$@" --only "$ONLY"

scripts/install-prerequisites.sh bench
use_rust
tools=$PWD/bench/.tools

# install NAME SOURCE COMMAND...: runs the command in an empty directory $tools/NAME when SOURCE has changed since; a
# failure is left there in `failed`.
install_peer() {
    local directory=$tools/$1 source=$2
    shift 2
    [ -f "$directory/.installed" ] && [ "$(cat "$directory/.installed")" = "$(sha256sum <"$source")" ] && return
    step "installing $(basename "$directory") peers"
    rm -rf "$directory"
    mkdir -p "$directory"
    if "$@" "$directory" >"$directory/failed" 2>&1; then
        rm "$directory/failed"
        sha256sum <"$source" >"$directory/.installed"
    else
        warn "not installed: $(tail -n 1 "$directory/failed")"
    fi
}

python_peers() {
    "$python" -m venv "$1" && "$1/bin/pip" install --quiet --disable-pip-version-check --requirement bench/peers/requirements.txt
}

node_peers() {
    cp bench/peers/package.json bench/peers/package-lock.json "$1" && (cd "$1" && npm ci --no-audit --no-fund --loglevel=error)
}

python_client() {
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$1" \
        --requirement bench/functions/awslambdaric/requirements.txt
}

# Its wheel holds the program, built; what it depends on is for building functions.
cargo_lambda() {
    "$python" -m venv "$1" && "$1/bin/pip" install --quiet --disable-pip-version-check --no-deps \
        --requirement bench/peers/cargo-lambda/requirements.txt
}

serverless_peer() {
    cp bench/peers/serverless/* "$1" && (cd "$1" && npm ci --no-audit --no-fund --loglevel=error)
}

step "building wuwei (release)"
nice cargo build --release --locked --package wuwei
step "building and testing the measuring programs"
nice cargo build --manifest-path bench/Cargo.toml --release --locked
nice cargo test --manifest-path bench/Cargo.toml --release --locked --quiet --package bench-tools >&2
install_peer python bench/peers/requirements.txt python_peers
install_peer node bench/peers/package-lock.json node_peers
install_peer awslambdaric bench/functions/awslambdaric/requirements.txt python_client
install_peer cargo-lambda bench/peers/cargo-lambda/requirements.txt cargo_lambda
install_peer serverless bench/peers/serverless/package-lock.json serverless_peer

step "measuring"
PYTHONPATH=bench exec "$python" -m comparison "$@"
