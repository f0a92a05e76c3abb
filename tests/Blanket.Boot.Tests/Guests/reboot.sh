#!/bin/busybox sh
# Reboots at its first three starts and powers off at its fourth; the first disk has the count of starts.
. /common.sh
start

count=$(dd if=/dev/xvda bs=1 count=1 2> /dev/null | tr -dc 0-9)
count=$((${count:-0} + 1))
echo "reboot: start $count"
[ "$count" -lt 4 ] || poweroff -f
echo "$count" | dd of=/dev/xvda bs=512 conv=sync,fsync,notrunc 2> /dev/null || fail 'count'
reboot -f
