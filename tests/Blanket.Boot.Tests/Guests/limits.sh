#!/bin/busybox sh
# xvda may be used at 2,000,000 bytes a second, xvdb with 100 requests a second. Says what came of that.
. /common.sh
start
wait_for test -e /dev/xvdb

# Milliseconds that a command takes, by the guest's own clock.
now() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
timed() {
    begin=$(now)
    "$@" 2> /dev/null || fail "$*"
    echo "$(($(now) - begin))"
}

# What the start has used is paid for by then.
sleep 1
taken=$(timed dd if=/dev/xvda of=/dev/null bs=64k count=128 iflag=direct)
echo "limits: read $((128 * 65536 * 1000 / taken)) bytes a second"
taken=$(timed dd if=/dev/zero of=/dev/xvda bs=64k count=128 oflag=direct)
echo "limits: wrote $((128 * 65536 * 1000 / taken)) bytes a second"
taken=$(timed dd if=/dev/xvdb of=/dev/null bs=4k count=400 iflag=direct)
echo "limits: made $((400 * 1000 / taken)) requests a second"
poweroff -f
