#!/bin/sh
# PV-GRUB reads kernels whose payload is compressed with xz or gzip, and plain ELF files. For a kernel with an LZ4 payload (Debian's
# cloud kernel) this keeps the plain file as /boot/vmlinux-pv. Called after the installation and removal of a kernel.
set -e

version=$1
image=/boot/vmlinuz-$version
plain=/boot/vmlinux-$version

# A number of the setup header at an offset (the kernel's Documentation/x86/boot.rst).
header() { od -An -t "u$2" -j "$1" -N "$2" "$image" | tr -d ' '; }

if [ ! -e "$image" ]; then
    rm -f "$plain"
    [ -e /boot/vmlinux-pv ] || rm -f /boot/vmlinux-pv
    exit 0
fi

start=$((($(header 497 1) + 1) * 512 + $(header 584 4)))
length=$(header 588 4)
if [ "$(od -An -t x4 -j "$start" -N 4 "$image" | tr -d ' ')" = 184c2102 ]; then
    # Behind the payload is its size in 4 bytes.
    tail -c "+$((start + 1))" "$image" | head -c "$((length - 4))" | lz4 -dcq > "$plain.new"
    mv "$plain.new" "$plain"
    ln -sf "vmlinux-$version" /boot/vmlinux-pv
else
    rm -f /boot/vmlinux-pv
fi
