#!/usr/bin/env bash
# Installs what is missing for `make demo` (argument `demo`, the default) `make test` (argument `test`) or `make bench`
# (argument `bench`).
# Debian and Ubuntu. What is there already stays as it is; when all is there, this takes well under a second.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

purpose=${1:-demo}

packages=()
need() { packages+=("$1"); }

# The benchmarks need what the tests need.
[ "$purpose" != bench ] || purpose=test

command -v cc >/dev/null && command -v make >/dev/null || need build-essential
command -v curl >/dev/null || need curl
[ -e /etc/ssl/certs/ca-certificates.crt ] || need ca-certificates
python=$(system_python || true)
if [ -z "$python" ]; then
    need python3
    need python3-pip
    [ "$purpose" != test ] || need python3-venv
else
    has_module() { "$python" -I -c "import sys, importlib.util as u; sys.exit(u.find_spec('$1') is None)"; }
    has_module pip || need python3-pip
    [ "$purpose" != test ] || has_module ensurepip || need python3-venv
fi
# Networks of functions; not always in the PATH of others than root.
PATH=$PATH:/usr/sbin:/sbin command -v nft >/dev/null || need nftables
# `/tmp` of functions.
PATH=$PATH:/usr/sbin:/sbin command -v mkfs.ext4 >/dev/null || need e2fsprogs
if [ "$purpose" = test ]; then
    command -v node >/dev/null || need nodejs
    command -v npm >/dev/null || need npm
    # The command line of AWS, version 2: PyPI has the first only.
    [ -x /usr/bin/aws ] || need awscli
    # AWS's runtime clients for Go and Java, which the conformance suite builds.
    command -v go >/dev/null || need golang-go
    command -v javac >/dev/null || need default-jdk-headless
    command -v mvn >/dev/null || need maven
    PATH=$PATH:/usr/sbin:/sbin command -v ip >/dev/null || need iproute2
    # Counts system calls.
    command -v strace >/dev/null || need strace
fi

if [ ${#packages[@]} -gt 0 ]; then
    command -v apt-get >/dev/null ||
        fail "missing: ${packages[*]}" "this script installs them with apt-get (Debian, Ubuntu); install them your system's way"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "missing: ${packages[*]}" "as root: apt-get install ${packages[*]}"
        as_root=(sudo)
    fi
    step "installing ${packages[*]} with apt-get"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
fi

if ! use_rust; then
    if command -v rustup >/dev/null; then
        step "installing the stable Rust toolchain beside the present one (Rust $(rust_wanted) is needed)"
        rustup toolchain install stable --profile minimal --component clippy,rustfmt
    else
        step "installing Rust with rustup from https://sh.rustup.rs (into ~/.cargo and ~/.rustup)"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
            sh -s -- -y --profile minimal --component clippy,rustfmt --default-toolchain stable
    fi
    hash -r
    use_rust || fail "Rust $(rust_wanted) or newer is still missing" "see https://rustup.rs"
fi

if [ "$purpose" = test ]; then
    node_wanted=$(sed -n 's/.*"node": ">=\([0-9.]*\)".*/\1/p' tests/javascript/package.json)
    node_found=$(node --version)
    at_least "${node_found#v}" "${node_wanted:-20}" ||
        fail "Node.js $node_found is too old for the AWS SDK: ${node_wanted:-20} or newer is needed" \
            "https://deb.nodesource.com has packages for Debian and Ubuntu"
    # From 1.21 on, Go itself fetches the version that a module asks for.
    go_found=$(go env GOVERSION)
    at_least "${go_found#go}" 1.21 ||
        fail "${go_found:-this Go} is too old for aws-lambda-go: go1.21 or newer is needed" "https://go.dev/dl"
    java_found=$(javac -version 2>&1 | sed 's/^javac //')
    at_least "$java_found" 17 || fail "Java $java_found is too old: 17 or newer is needed" "apt-get install openjdk-17-jdk-headless"
fi
