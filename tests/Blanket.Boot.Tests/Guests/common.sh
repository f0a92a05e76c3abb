# Sourced by the first processes of the test guests.

fail() {
    echo "failed: $1"
    sleep 1
    exit 1
}

# Mounts, drivers, and the first disk.
start() {
    /bin/busybox mkdir -p /proc /sys /dev /tmp /sbin
    /bin/busybox --install -s /bin
    export PATH=/bin
    # What the kernel runs when it is asked to shut down; a shell as init would not hear busybox's own signals.
    for action in poweroff reboot; do
        printf '#!/bin/busybox sh\nexec /bin/busybox %s -f\n' "$action" > "/sbin/$action"
        chmod 755 "/sbin/$action"
    done
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs devtmpfs /dev
    while read -r module; do
        insmod "/lib/modules/$module" 2> /dev/null
    done < /lib/modules/order
    tries=300
    while [ ! -e /dev/xvda ]; do
        [ "$tries" -gt 0 ] || fail 'no disk'
        tries=$((tries - 1))
        sleep 0.1
    done
}

# Succeeds within two minutes, or the guest fails.
wait_for() {
    tries=600
    until "$@" > /dev/null 2>&1; do
        [ "$tries" -gt 0 ] || fail "waiting for: $*"
        tries=$((tries - 1))
        sleep 0.2
    done
}

# Has the test do something (GuestMachine), and goes on when it is done.
ask() {
    echo "await: $1"
    read -r _ < /dev/console
}
