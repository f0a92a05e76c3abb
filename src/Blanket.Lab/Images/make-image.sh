#!/bin/sh
# Makes a disk image with Debian and its kernel that PV-GRUB boots. Runs as root: the image has files of several users.
#   make-image.sh IMAGE SUITE PACKAGES SOURCES HOOK
# PACKAGES are separated by commas, one of them a kernel; SOURCES is a sources.list; HOOK is zz-pv-grub.sh.
set -eu

image=$1 suite=$2 packages=$3 sources=$4 hook=$5
partition=1048576               # bytes before the root file system
size=4096                       # MiB, sparse

work=$(mktemp -d "$(dirname "$image")/root.XXXXXX")
# What an interrupted mmdebstrap has left mounted there is the host's.
trap 'rm -rf --one-file-system "$work"' EXIT
chmod 755 "$work"
root=$work/root

# The initramfs of a PV guest needs the drivers of its root and nothing else, which PV-GRUB and the kernel read faster.
cat > "$work/before-kernel" << 'HOOK'
set -eu
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/etc/initramfs-tools/hooks" "$1/etc/initramfs-tools/scripts/init-top"
echo MODULES=list > "$1/etc/initramfs-tools/conf.d/pv-guest"
cat > "$1/etc/initramfs-tools/hooks/pv-guest" << 'DRIVERS'
#!/bin/sh
[ "$1" = prereqs ] && exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules xen_blkfront ext4 crc32c_generic
DRIVERS
chmod 755 "$1/etc/initramfs-tools/hooks/pv-guest"
# In place of udev's own script, which goes through all devices, as the root's udev does again: the kernel names the root's device by itself.
cat > "$1/etc/initramfs-tools/scripts/init-top/udev" << 'ROOT'
#!/bin/sh
[ "$1" = prereqs ] && exit 0
modprobe xen_blkfront
ROOT
chmod 755 "$1/etc/initramfs-tools/scripts/init-top/udev"
HOOK

# Without documentation and translations.
TMPDIR=$work mmdebstrap --quiet --variant=minbase \
    --include="$packages,openssh-server,systemd-sysv,systemd-resolved,udev,e2fsprogs,iproute2,iputils-ping,lz4,zstd" \
    --essential-hook="sh '$work/before-kernel' \"\$1\"" \
    --aptopt='Apt::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$root" "$sources"

uuid=$(cat /proc/sys/kernel/random/uuid)
echo "UUID=$uuid / ext4 errors=remount-ro 0 1" > "$root/etc/fstab"
install -m 700 -d "$root/root/.ssh"
mkdir -p "$root/boot/grub"
cat > "$root/boot/grub/grub.cfg" << CONFIGURATION
# Read by PV-GRUB. /vmlinuz and /initrd.img are kept by Debian's kernel packages, /boot/vmlinux-pv by /etc/kernel/postinst.d/zz-pv-grub.
set timeout=0
menuentry 'Debian GNU/Linux' {
    if [ -f /boot/vmlinux-pv ]; then
        linux /boot/vmlinux-pv root=UUID=$uuid ro console=hvc0
    else
        linux /vmlinuz root=UUID=$uuid ro console=hvc0
    fi
    initrd /initrd.img
}
CONFIGURATION
for directory in postinst.d postrm.d; do
    install -D -m 755 "$hook" "$root/etc/kernel/$directory/zz-pv-grub"
done
release=$(basename "$root"/boot/vmlinuz-*)
chroot "$root" /etc/kernel/postinst.d/zz-pv-grub "${release#vmlinuz-}"

cat > "$root/etc/systemd/network/80-dhcp.network" << NETWORK
[Match]
Type=ether

[Network]
DHCP=yes
NETWORK
chroot "$root" systemctl --quiet enable systemd-networkd systemd-resolved

# systemd gives up a console that udev has not announced after 90 s, and its login with it: a guest on a busy host takes longer.
mkdir -p "$root/etc/systemd/system.conf.d"
cat > "$root/etc/systemd/system.conf.d/pv-guest.conf" << MANAGER
[Manager]
DefaultDeviceTimeoutSec=15min
MANAGER
# For LVM volumes, displays and EFI variables, of which there are none.
chroot "$root" systemctl --quiet mask e2scrub_reap.service e2scrub_all.timer modprobe@drm.service modprobe@efi_pstore.service
# The network need not wait for udev, which comes to it last.
echo xen_netfront > "$root/etc/modules-load.d/pv-guest.conf"
# Hardware that a PV guest cannot have. What asks for wireless networks is systemd-networkd.
cat > "$root/etc/modprobe.d/pv-guest.conf" << MODULES
alias net-pf-16-proto-16-family-nl80211 off
blacklist pcspkr
blacklist powernow_k8
MODULES
ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

# What has to differ from guest to guest.
rm -f "$root"/etc/ssh/ssh_host_*
: > "$root/etc/machine-id"
echo debian > "$root/etc/hostname"

truncate -s "${size}M" "$image"
echo 'start=2048, type=83, bootable' | sfdisk --quiet --label dos "$image"
# GRUB 2.06 does not read the newest features.
mke2fs -q -t ext4 -U "$uuid" -d "$root" -E "offset=$partition,root_owner=0:0" -O '^metadata_csum_seed,^orphan_file' "$image" "$((size * 1024 - partition / 1024))k"
chown --reference="$(dirname "$image")" "$image"
