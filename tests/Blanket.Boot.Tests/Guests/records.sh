#!/bin/busybox sh
# Writes numbered records to the first disk, a sector each; says the number of each that the disk has acknowledged.
. /common.sh
start

number=1
while [ "$number" -le 2000 ]; do
    printf 'record %08d\n' "$number" | dd of=/dev/xvda bs=512 seek="$number" conv=sync,fsync,notrunc 2> /dev/null || fail "record $number"
    echo "acknowledged $number"
    number=$((number + 1))
done
fail 'nobody ended this machine'
