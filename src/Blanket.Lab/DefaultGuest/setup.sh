# Sourced by first processes of the small guest, also by those of the tests: commands, file systems, drivers.

/bin/busybox mkdir -p /proc /sys /dev /tmp /etc /sbin
/bin/busybox --install -s /bin
export PATH=/bin

# What the kernel runs when the toolstack asks for it: a shell as init would not hear busybox's own signals.
for action in poweroff reboot; do
    printf '#!/bin/busybox sh\nexec /bin/busybox %s -f\n' "$action" > "/sbin/$action"
    chmod 755 "/sbin/$action"
done

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    # A driver for another kind of machine refuses.
    insmod "/lib/modules/$module" 2> /dev/null
done < /lib/modules/order
