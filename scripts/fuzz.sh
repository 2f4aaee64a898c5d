#!/usr/bin/env bash
# Runs each fuzz target in turn, MINUTES long each, and writes what came out into docs/fuzzing.md. Arguments: names of
# targets (all without). What it finds to be of use stays in fuzz/corpus for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

minutes=${MINUTES:-30}
toolchain=${WUWEI_FUZZ_TOOLCHAIN:-nightly}
scripts/install-prerequisites.sh demo
command -v rustup >/dev/null || fail "fuzzing needs a nightly Rust, which rustup installs" "https://rustup.rs"
rustup toolchain list | grep -q "^$toolchain" || rustup toolchain install "$toolchain" --profile minimal
cargo fuzz --version >/dev/null 2>&1 || { step "building cargo-fuzz (once)" && cargo install --locked cargo-fuzz; }

if [ $# -eq 0 ]; then
    set -- frames runtime_api launcher_messages egress_names signature package
fi
step "building the targets"
nice cargo "+$toolchain" fuzz build
logs=fuzz/target/logs
mkdir -p "$logs"
number=0
for target in "$@"; do
    number=$((number + 1))
    step "$target ($number of $#): $minutes minutes"
    options=(-max_total_time=$((minutes * 60)) -print_final_stats=1 -malloc_limit_mb=64 -timeout=20)
    [ "$target" != runtime_api ] || options+=(-max_len=2048)
    mkdir -p "fuzz/corpus/$target"
    # Lines of progress as libFuzzer writes them: executions, coverage, size of the corpus, executions per second.
    if ! nice -n 19 cargo "+$toolchain" fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        "${options[@]}" "-dict=fuzz/dictionaries/$target.dict" 2>&1 | tee "$logs/$target.log" |
        grep --line-buffered -E 'pulse|SUMMARY|panicked|stat::|artifact' >&2; then
        fail "$target found something: see $logs/$target.log" "add the input to fuzz/seeds/$target once it is mended"
    fi
    python3 scripts/record_fuzzing.py "$target" "$minutes" "$logs/$target.log"
done
