#!/bin/busybox sh
# Writes to the first disk and reads back, again and again, and says 'verified ROUND' each time, until a line comes in on the console.
. /common.sh
start

# A background process has no standard input of its own.
exec 5<&0
{
    read -r _ <&5
    touch /tmp/end
} &

round=1
while [ ! -e /tmp/end ]; do
    place=$((round % 8))
    dd if=/dev/urandom of=/tmp/pattern bs=64k count=4 2> /dev/null || fail "pattern of round $round"
    dd if=/tmp/pattern of=/dev/xvda bs=256k seek="$place" conv=fsync,notrunc 2> /dev/null || fail "write of round $round"
    echo 3 > /proc/sys/vm/drop_caches
    dd if=/dev/xvda of=/tmp/read bs=256k skip="$place" count=1 2> /dev/null || fail "read of round $round"
    cmp /tmp/pattern /tmp/read || fail "compare of round $round"
    echo "verified $round"
    round=$((round + 1))
done
echo "verified to the end"
poweroff -f
