#!/bin/busybox sh
# Writes to the first disk and reads back, again and again, and says 'verified ROUND' each time, until the line 'end' comes in on the
# console. 'read DISK ...' reads from another disk; other lines are repeated.
. /common.sh
start
echo "cpus $(grep -c ^processor /proc/cpuinfo)"

# A background process has no standard input of its own.
exec 5<&0
{
    while read -r line <&5 && [ "$line" != end ]; do
        case $line in
            read*)
                disk=${line#read }
                dd if="/dev/${disk%% *}" of=/dev/null bs=64k count=16 2> /dev/null && echo "$line: ok" || echo "$line: failed"
                ;;
            *) echo "heard $line" ;;
        esac
        # What was read once must not come from memory the next time.
        echo 3 > /proc/sys/vm/drop_caches
    done
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
