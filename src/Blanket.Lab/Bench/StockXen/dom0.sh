#!/bin/busybox sh
# First process of dom0 on stock Xen: starts the toolstack's daemons, runs the guest of /job/guest.cfg to its end and prints
# what that guest wrote on its console.

/bin/busybox mkdir -p /bin /dev /proc /sys /tmp /run /var/run/xen /var/run/xenstored /var/lib/xen /var/lib/xenstored /var/lock /var/log/xen
/bin/busybox --install -s /bin
export PATH=/bin:/usr/lib/xen-4.17/bin LD_LIBRARY_PATH=/lib/x86_64-linux-gnu
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts

while read -r module; do
    insmod "/lib/modules/$module"
done < /lib/modules/order
mount -t xenfs xenfs /proc/xen

xenstored --pid-file /var/run/xenstored.pid
xenconsoled --pid-file=/var/run/xenconsoled.pid --log=guest --log-dir=/var/log/xen
xen-init-dom0

# In the foreground: xl sleeps until the guest is gone, and does not disturb it by looking.
xl create -F /job/guest.cfg || echo "bench: failed: xl create ended with status $?"
cat /var/log/xen/guest-*.log
grep -q 'bench: done' /var/log/xen/guest-*.log || echo "bench: failed: the guest did not come to its end"
sleep 60
