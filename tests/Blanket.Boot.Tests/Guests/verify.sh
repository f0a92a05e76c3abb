#!/bin/busybox sh
# Writes to the first disk and reads back, again and again, and says 'verified ROUND' each time, until the line 'end' comes in on the
# console. 'read DISK ...' reads from another disk, 'ping ...' asks the outside, 'silent ...' finds that it does not answer, 'grown DISK SECTORS' waits until a disk has that size and uses its
# last sector; other lines are repeated.
. /common.sh
start
echo "cpus $(grep -c ^processor /proc/cpuinfo)"

# The outside answers within a minute.
answers() {
    tries=30
    until ping -q -c 1 -W 2 10.0.2.2 > /tmp/ping 2>&1; do
        [ "$tries" -gt 0 ] || return 1
        tries=$((tries - 1))
    done
}

# Whether the outside answers; the first time with an address from there.
reach() {
    if [ ! -e /tmp/address ]; then
        ip link set eth0 up && udhcpc -i eth0 -n -q -t 20 -T 2 -s /lib/udhcpc.sh > /tmp/udhcpc.log 2>&1 || return 1
    fi
    answers
}

has_size() { [ "$(cat "/sys/class/block/$1/size")" = "$2" ]; }

# Whether a disk becomes that large, and keeps what is written to its last sector.
use_growth() {
    wait_for has_size "$1" "$2"
    echo "$line" | dd of="/dev/$1" bs=512 seek="$(($2 - 1))" conv=sync,fsync,notrunc 2> /dev/null || return 1
    echo 3 > /proc/sys/vm/drop_caches
    [ "$(dd if="/dev/$1" bs=512 skip="$(($2 - 1))" count=1 2> /dev/null | tr -d '\0')" = "$line" ]
}

# A background process has no standard input of its own.
exec 5<&0
{
    while read -r line <&5 && [ "$line" != end ]; do
        case $line in
            read*)
                disk=${line#read }
                dd if="/dev/${disk%% *}" of=/dev/null bs=64k count=16 2> /dev/null && echo "$line: ok" || echo "$line: failed"
                ;;
            ping*) reach && echo "$line: ok" || echo "$line: failed" ;;
            silent*) ping -q -c 1 -W 2 10.0.2.2 > /tmp/ping 2>&1 && echo "$line: failed" || echo "$line: ok" ;;
            grown*) use_growth ${line#grown } && echo "$line: ok" || echo "$line: failed" ;;
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
