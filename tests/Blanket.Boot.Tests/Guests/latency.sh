#!/bin/busybox sh
# How long reads of the disk take on average, one at a time with pauses between them, next to a neighbour that does what it is asked to do:
# the least of three series, or of up to ten while it is more than twice as long as at rest: what else the host does makes series longer only.
. /common.sh
start
for kind in rest compute events requests packets; do
    ask "$kind"
    least=
    for series in 1 2 3 4 5 6 7 8 9 10; do
        # Raw statistics: requests, their time, a second's, bytes a second, then shortest, average and longest in ns.
        set -- $(ioping -D -B -c 100 -i 0.004 -s 4k /dev/xvda) || fail "ioping next to $kind"
        echo "series $series next to $kind: $6 ns ($5 to $7)"
        [ -n "$least" ] && [ "$least" -le "$6" ] || least=$6
        [ "$series" -ge 3 ] && [ "$least" -le $((2 * ${rest:-$least})) ] && break
    done
    rest=${rest:-$least}
    echo "latency: $kind $least ns"
done
ask end
poweroff -f
