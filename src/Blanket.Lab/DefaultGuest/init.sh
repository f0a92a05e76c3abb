#!/bin/busybox sh
# First process of the small guest. With blanket.selftest on the kernel command line it checks its disk and its network
# and powers off; a check that fails ends this process, which makes the kernel panic and the guest count as crashed.
# Otherwise it gives a shell on the console.

. /lib/setup.sh
export HOME=/ PS1='guest# '

read -r uptime _ < /proc/uptime
echo "guest: kernel $(uname -r), up after ${uptime} s"

option() { grep -qw "$1" /proc/cmdline; }

# Prints the first of some files that exists; devices appear some time after their driver: up to 30 s.
wait_for_any() {
    tries=300
    while [ "$tries" -gt 0 ]; do
        for file in "$@"; do
            [ -e "$file" ] && echo "$file" && return
        done
        sleep 0.1
        tries=$((tries - 1))
    done
    return 1
}

fail() {
    echo "selftest: failed: $1"
    sleep 1
    exit 1
}

# A pattern at the disk's start and one at its end, each flushed; read back from the disk and not from the cache.
check_disk() {
    disk=$(wait_for_any /dev/xvda /dev/vda) || fail 'no disk'
    last=$(($(cat "/sys/class/block/${disk#/dev/}/size") / 2048 - 4))
    dd if=/dev/urandom of=/tmp/pattern bs=1M count=4 2>/dev/null || fail 'no pattern'
    for place in 0 "$last"; do
        dd if=/tmp/pattern of="$disk" bs=1M seek="$place" conv=fsync,notrunc 2>/dev/null || fail "write at $place MiB of $disk"
    done
    sync
    echo 3 > /proc/sys/vm/drop_caches
    for place in 0 "$last"; do
        dd if="$disk" of=/tmp/read bs=1M skip="$place" count=4 2>/dev/null || fail "read at $place MiB of $disk"
        cmp /tmp/pattern /tmp/read || fail "compare at $place MiB of $disk"
    done
    rm /tmp/pattern /tmp/read
    echo "selftest: disk ok"
}

start_network() {
    ip link set lo up
    wait_for_any /sys/class/net/eth0 > /dev/null && ip link set eth0 up && udhcpc -i eth0 -n -q -t 10 -T 2 -s /lib/udhcpc.sh > /tmp/udhcpc.log 2>&1
}

check_network() {
    start_network || { cat /tmp/udhcpc.log; fail 'no address by DHCP'; }
    echo "selftest: dhcp $(cat /tmp/address)"
    ping -c 3 -W 10 "$(cat /tmp/gateway)" > /tmp/ping.log 2>&1 || { cat /tmp/ping.log; fail 'no answer from the gateway'; }
    echo "selftest: ping ok"
}

if option blanket.selftest; then
    check_disk
    check_network
    echo "selftest: passed"
    poweroff -f
fi

start_network &
echo "guest: a shell; 'poweroff -f' or 'exit' powers this guest off"
setsid cttyhack sh
poweroff -f
