#!/bin/sh
# Runs the tests of the sandbox crate in a small virtual machine, once for each way that Linux hosts mount control groups.
#
# usage: scripts/test-vm.sh [v2] [delegated] [container] [v1] [hybrid]
#
#   v2         one unified tree at /sys/fs/cgroup; the tests run in its root, then the native and Python attempts of the
#              attack suite, and a server that is deployed to and called
#   delegated  the same, inside a group of their own without a CPU controller, as in a user's unit with Delegate=yes
#   container  the same, inside a cgroup namespace whose root is not the tree's
#   v1         one hierarchy for each controller, no unified tree
#   hybrid     v1 for the controllers and a unified tree without any
#
# Without arguments: all of them. The kernel is the distribution's (its package is unpacked, not installed), or the one
# that WUWEI_VM_KERNEL names. The machine is emulated in software, so that it runs where there is no hardware
# virtualisation. WUWEI_VM_MINUTES bounds each machine (default 20). Exits with the tests' status.
set -eu

repository=$(cd "$(dirname "$0")/.." && pwd)
work=$repository/target/vm
minutes=${WUWEI_VM_MINUTES:-20}
all_modes="v2 delegated container v1 hybrid"

fail() {
    echo "test-vm: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

update_package_lists() {
    [ -n "${lists_are_fresh:-}" ] || as_root apt-get update >&2
    lists_are_fresh=yes
}

# Downloads a package of the distribution and unpacks it below the work directory, once.
unpack_package() { # package
    [ ! -d "$work/$1" ] || return 0
    update_package_lists
    rm -rf "$work/packages"
    mkdir -p "$work/packages/content"
    (cd "$work/packages" && apt-get download "$1" >&2 && dpkg -x ./*.deb content) ||
        fail "could not get the package \`$1\`: is the network there?"
    mv "$work/packages/content" "$work/$1"
}

# Debian's and Ubuntu's names of the smallest kernel that runs in a virtual machine; they depend on the newest version.
kernel_package() {
    for name in linux-image-cloud-amd64 linux-image-virtual; do
        package=$(apt-cache depends "$name" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
        if [ -n "$package" ]; then
            echo "$package"
            return
        fi
    done
    fail "this distribution has no kernel package that is known here; name a kernel with WUWEI_VM_KERNEL"
}

install_missing() {
    mkdir -p "$work"
    if ! command -v qemu-system-x86_64 >/dev/null; then
        update_package_lists
        as_root apt-get install --yes --no-install-recommends qemu-system-x86
    fi
    unpack_package busybox-static
    kernel=${WUWEI_VM_KERNEL:-}
    if [ -z "$kernel" ]; then
        package=$(kernel_package)
        unpack_package "$package"
        kernel=$(find "$work/$package/boot" -name 'vmlinuz-*')
    fi
    [ -r "$kernel" ] || fail "the kernel \`$kernel\` cannot be read"
}

build_tests() {
    cd "$repository"
    cargo build --package wuwei-sandbox --example launcher
    cargo build --package wuwei
    cargo build --package wuwei-sandbox --example attempts --features defence-switches
    tests=$(cargo test --package wuwei-sandbox --lib --no-run --message-format=json |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
    [ -x "$tests" ] || fail "cargo did not tell where the tests are"
}

# Ends the machine itself when the guest does not.
run_machine() { # mode
    status=$work/$1.status
    rm -f "$status"
    echo "test-vm: control groups \`$1\`"
    # The emulation of cmpxchg16b in qemu 7.2 corrupts the memory of kernels that use it (6.12 does, 6.1 does not).
    timeout --foreground "${minutes}m" nice qemu-system-x86_64 -accel tcg -cpu max,-cx16 -smp 2 -m 3G -no-reboot \
        -nic none -display none -monitor none -serial stdio -serial "file:$status" \
        -kernel "$kernel" -initrd "$work/image.cpio" -append "console=ttyS0 loglevel=3 oops=panic panic=-1 wuwei.cgroups=$1" \
        </dev/null 2>"$work/$1.qemu.log" | tr -d '\r' | tee "$work/$1.log" || true
    result=$(cat "$status" 2>/dev/null || true)
    if [ -z "$result" ]; then
        cat "$work/$1.qemu.log" >&2
        fail "the machine with control groups \`$1\` crashed, or did not finish in $minutes minutes"
    fi
    [ "$result" -eq 0 ] || failed="$failed $1"
}

[ "$(uname -m)" = x86_64 ] || fail "only x86_64 machines are supported"
modes=${*:-$all_modes}
for mode in $modes; do
    case " $all_modes " in
        *" $mode "*) ;;
        *) fail "unknown control groups \`$mode\`; there are: $all_modes" ;;
    esac
done
install_missing
build_tests
sh "$repository/tests/vm/image.sh" "$work" "$tests"
failed=
for mode in $modes; do
    run_machine "$mode"
done
echo "test-vm: kernel $(basename "$kernel")"
for mode in $modes; do
    echo "test-vm: $mode: $(grep '^test result:' "$work/$mode.log" || echo "no result")"
    grep '^attempts: \|^demo: ' "$work/$mode.log" | sed "s/^/test-vm: $mode: /" || true
done
[ -z "$failed" ] || fail "failed with control groups:$failed"
