#!/bin/sh
# Builds the initial file system of the test machine: a shell to boot with, and the tests with the programs they start.
#
# usage: tests/vm/image.sh WORK_DIRECTORY TEST_BINARY
#
# Beside TEST_BINARY lies what cargo built with it: wuwei itself and the examples `launcher` and `attempts`.
set -eu

work=$1
tests=$2
built=$(dirname "$tests")/..
here=$(cd "$(dirname "$0")" && pwd)
busybox=$work/busybox-static/bin/busybox
boot=$work/boot
root=$work/root
# What the tests' scripts call inside sandboxes, and `unshare` for the guest's first process.
programs="sh id cat grep hostname ls wc touch sleep env unshare curl sed tr head"

rm -rf "$boot" "$root"
mkdir -p "$boot/bin" "$root"
for directory in proc sys dev etc tmp run usr/bin usr/sbin usr/lib usr/lib64 usr/local target/deps target/examples; do
    mkdir -p "$root/$directory"
done
chmod 1777 "$root/tmp"
for directory in bin sbin lib lib64; do
    ln -s "usr/$directory" "$root/$directory"
done

# Copies a file and the libraries that it is linked to.
add() { # source target
    cp -L "$1" "$root/$2"
    ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root/usr$(dirname "${library#/usr}")"
        [ -e "$root$library" ] || cp -L "$library" "$root$library"
    done
}

for program in $programs; do
    add "$(PATH=/usr/bin:/bin command -v "$program")" "usr/bin/$program"
done
add "$tests" target/deps/tests
add "$built/examples/launcher" target/examples/launcher
add "$built/examples/attempts" target/examples/attempts
add "$built/wuwei" target/wuwei
strip "$root/target/examples/attempts" "$root/target/wuwei"
mkdir -p "$root/target/suite" "$root/var/tmp" "$root/mnt"
cp -R "$here/../attack" "$here/../harness" "$here/attempts.py" "$root/target/suite"
cp "$here/demo" "$root/target/demo"
cc -O1 -static -pthread -o "$root/target/suite/attempt" "$here/../native/attempt.c"

# Node.js in the place where the tests look for it.
add "$(PATH=/usr/bin:/usr/local/bin command -v node)" usr/bin/node

interpreter=$(readlink -f /usr/bin/python3)
library=$("$interpreter" -I -S -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
add "$interpreter" "usr/bin/$(basename "$interpreter")"
[ -e "$root/usr/bin/python3" ] || ln -s "$(basename "$interpreter")" "$root/usr/bin/python3"
mkdir -p "$root$library"
tar -C "$library" --exclude=./test --exclude=./idlelib --exclude=./tkinter --exclude=./dist-packages \
    --exclude=./site-packages --exclude='./config-*' -cf - . | tar -C "$root$library" -xf -
for extension in "$library"/lib-dynload/*.so; do
    add "$extension" "${extension#/}"
done

# The kernel's first root cannot be pivoted away from: the guest unpacks this into one that can.
tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$boot/root.tar" .
cp "$busybox" "$boot/bin/busybox"
cp "$here/init" "$boot/init"
cp "$here/run" "$boot/run"
chmod 755 "$boot/init" "$boot/run"
(cd "$boot" && find . | "$busybox" cpio -o -H newc -R 0:0) >"$work/image.cpio"
