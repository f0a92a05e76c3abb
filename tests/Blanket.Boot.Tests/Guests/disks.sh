#!/bin/busybox sh
# xvda grows while this runs, xvdb is a qcow2 image, xvdc is read-only and has 'read-only' at its start, xvdd fails the writing of
# sector 2048 and the reading of sector 4096.
. /common.sh
start
for disk in xvdb xvdc xvdd; do
    wait_for test -e "/dev/$disk"
done

sectors() { cat "/sys/class/block/$1/size"; }
# Writes a text to a sector of a disk, and reads it back from there and not from the cache.
put() { echo "$3" | dd of="/dev/$1" bs=512 seek="$2" conv=sync,fsync,notrunc 2> /dev/null; }
get() {
    echo 3 > /proc/sys/vm/drop_caches
    dd if="/dev/$1" bs=512 skip="$2" count=1 2> /dev/null | tr -d '\0'
}
stored() { put "$@" && [ "$(get "$1" "$2")" = "$3" ]; }

stored xvda 0 before || fail 'xvda before it grows'
old=$(sectors xvda)
ask resize
grown() { [ "$(sectors xvda)" -gt "$old" ]; }
wait_for grown
stored xvda "$(($(sectors xvda) - 1))" new || fail 'last sector of what has grown'
[ "$(get xvda 0)" = before ] || fail 'what was there before'
echo "disks: xvda grew from $old to $(sectors xvda)"

stored xvdb 0 first && stored xvdb "$(($(sectors xvdb) - 1))" last || fail 'qcow2'
echo 'disks: qcow2 ok'

[ "$(cat /sys/class/block/xvdc/ro)" = 1 ] || fail 'xvdc is not read-only'
[ "$(get xvdc 0)" = read-only ] || fail 'content of xvdc'
put xvdc 0 written && fail 'xvdc was written to'
[ "$(get xvdc 0)" = read-only ] || fail 'xvdc has changed'
echo 'disks: read-only ok'

stored xvdd 2047 neighbour || fail 'sector before the bad one'
put xvdd 2048 lost && fail 'a failed write was not told'
stored xvdd 2056 neighbour || fail 'sector behind the bad one'
echo 3 > /proc/sys/vm/drop_caches
dd if=/dev/xvdd bs=512 skip=4096 count=1 of=/dev/null 2> /dev/null && fail 'a failed read was not told'
stored xvdd 4104 neighbour || fail 'sector behind the second bad one'
echo 'disks: errors ok'
poweroff -f
