#!/usr/bin/env bash
# Runs under Miri (an interpreter that finds undefined behaviour) the tests of what it can run: the parsers of hostile
# bytes, and what `sys` hands to the kernel. docs/security.md says what it cannot, and what holds that.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

toolchain=${WUWEI_MIRI_TOOLCHAIN:-nightly}
scripts/install-prerequisites.sh demo
command -v rustup >/dev/null || fail "Miri needs a nightly Rust, which rustup installs" "https://rustup.rs"
# A toolchain that is there already is not updated.
rustup toolchain list | grep -q "^$toolchain" || rustup toolchain install "$toolchain" --profile minimal
rustup component add --toolchain "$toolchain" miri rust-src
# Without inline assembly in rustix; the tests open files and read the clock.
export RUSTFLAGS="--cfg=rustix_use_libc" MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-permissive-provenance"
export CARGO_TARGET_DIR=target/miri
tests=(
    sys::
    frames::tests::
    seccomp::program::
    egress::names::message::
    egress::netlink::
    runtime_api::document::
    output::
    stream::
    managed::parts::
)
# Not what takes an interpreter hours (lines of 256 KB, all call numbers), nor what makes calls that it does not know.
skipped=(
    --skip output::tests::a_line_is_cut
    --skip seccomp::program::tests::every_number
    --skip seccomp::program::tests::the_search
    --skip sys::descriptors
    --skip sys::watch
)
step "Miri: ${tests[*]}"
cargo "+$toolchain" miri test --package wuwei-sandbox --lib -- "${tests[@]}" "${skipped[@]}" "$@"
