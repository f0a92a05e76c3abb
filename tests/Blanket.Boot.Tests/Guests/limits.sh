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

# Says what came of EXPECTED a second in steps of UNIT, by a command that takes COUNT of them: WHAT EXPECTED COUNT UNIT COMMAND...
# Again, up to three times, when it is not within 5 %: a host that stands still for a moment is no fault of the limit's.
measure() {
    what=$1
    expected=$2
    amount=$(($3 * $4))
    shift 4
    for series in 1 2 3; do
        rate=$((amount * 1000 / $(timed "$@")))
        echo "series $series: $what $rate a second"
        near "$rate" "$expected" && break
    done
    echo "limits: $what $rate a second"
}

# What the start has used is paid for by then.
sleep 1
measure read 2000000 128 65536 dd if=/dev/xvda of=/dev/null bs=64k count=128 iflag=direct
measure wrote 2000000 128 65536 dd if=/dev/zero of=/dev/xvda bs=64k count=128 oflag=direct
measure made 100 400 1 dd if=/dev/xvdb of=/dev/null bs=4k count=400 iflag=direct
poweroff -f
