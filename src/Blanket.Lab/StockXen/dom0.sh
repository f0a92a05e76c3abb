#!/bin/busybox sh
# First process of dom0 on stock Xen: starts the toolstack's daemons, waits for the word of whoever started the machine, and
# runs /job/run.sh, which is on the host. Lines of its own on the console begin with 'bed: '.

/bin/busybox mkdir -p /bin /dev /job /proc /sys /tmp /var/run/xen /var/run/xenstored /var/lib/xen /var/lib/xenstored /var/lock /var/log/xen
/bin/busybox --install -s /bin
export PATH=/bin:/usr/lib/xen-4.17/bin LD_LIBRARY_PATH=/lib/x86_64-linux-gnu
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts

fail() {
    echo "bed: failed: $1"
    sleep 1
    poweroff -f
}

while read -r module; do
    insmod "/lib/modules/$module" || echo "bed: $module does not load"
done < /lib/modules/order
mount -t xenfs xenfs /proc/xen

xenstored --pid-file /var/run/xenstored.pid
xenconsoled --pid-file=/var/run/xenconsoled.pid
xen-init-dom0 > /var/log/xen/init-dom0.log 2>&1 || fail "xen-init-dom0: $(tail -n 1 /var/log/xen/init-dom0.log)"

# 'go SECONDS': the state of this machine may be one that was saved here, and its clock stood still.
exec 4<> /dev/vport0p2
echo 'bed: ready'
read -r _ now <&4
date -s "@$now" > /dev/null
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 job /job || fail 'the directory with the job cannot be mounted'
. /job/run.sh
poweroff -f
