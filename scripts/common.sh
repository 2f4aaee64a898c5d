# What the scripts share. Sourced by bash, from the root of the repository.

# rustup installs here; a shell that is already open does not know it yet.
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
export PATH

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' green=$'\e[32m' yellow=$'\e[33;1m' red=$'\e[31;1m' plain=$'\e[0m'
else
    bold='' green='' yellow='' red='' plain=''
fi

step() { echo "${bold}==> $*${plain}" >&2; }
warn() { echo "${yellow}warning:${plain} $*" >&2; }
fail() {
    echo "${red}error:${plain} $1" >&2
    [ -z "${2:-}" ] || echo "${green}hint:${plain} $2" >&2
    exit 1
}

# Whether version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# The Rust that Cargo.toml asks for.
rust_wanted() { sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml; }

# Whether the cargo that would run now is there and new enough.
rust_is_new_enough() {
    local version
    version=$(cargo --version 2>/dev/null | cut -d ' ' -f 2) || return 1
    [ -n "$version" ] && at_least "$version" "$(rust_wanted)"
}

# An old default toolchain stays as it is: rustup can hold another one beside it.
use_rust() {
    rust_is_new_enough && return
    RUSTUP_TOOLCHAIN=stable rust_is_new_enough && export RUSTUP_TOOLCHAIN=stable && return
    return 1
}

# The interpreter of the system, which the server prefers, too: not a version manager's shim.
system_python() {
    if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else command -v python3; fi
}
