#!/bin/busybox sh
# One of two guests on a bridge: address= and peer= of the kernel's command line are theirs. Verifies its disk, runs the 32-bit
# program, exchanges packets of several sizes with the other and stays until the other is done, too.
. /common.sh
start

value() { sed -n "s/.*$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
address=$(value address)
peer=$(value peer)
# An address of the same network that a guest takes to tell the other something, and that the other tries: 100 done, 200 has seen that.
sign() { echo "${1%.*}.$((${1##*.} + $2))"; }
show() { ifconfig "eth0:$1" "$(sign "$address" "$1")" netmask 255.255.255.0 up; }
exchange() { ping -q -c 10 -i 0.1 -W 5 -s "$1" "$peer" > /tmp/ping && grep -q ' 0% packet loss' /tmp/ping; }
sees() { ping -c 1 -W 1 "$(sign "$peer" "$1")"; }

echo "pair: kernel $(uname -r)"
dd if=/dev/urandom of=/tmp/pattern bs=64k count=16 2> /dev/null
dd if=/tmp/pattern of=/dev/xvda bs=1M conv=fsync,notrunc 2> /dev/null || fail 'write'
echo 3 > /proc/sys/vm/drop_caches
dd if=/dev/xvda of=/tmp/read bs=1M count=1 2> /dev/null || fail 'read'
cmp /tmp/pattern /tmp/read || fail 'compare'
echo 'pair: disk ok'

/compat || fail "32-bit program, status $?"
echo 'pair: compat ok'

wait_for test -e /sys/class/net/eth0
ifconfig eth0 "$address" netmask 255.255.255.0 up
wait_for ping -c 1 -W 1 "$peer"
for size in 0 56 1472 8000; do
    # The last answer has a second, which a busy host can take longer for.
    exchange "$size" || exchange "$size" || fail "lost packets of $size bytes: $(tail -n 2 /tmp/ping | tr '\n' ' ')"
done
echo 'pair: ping ok'

show 100
wait_for sees 100
# Whoever has gone has seen that this one is done.
show 200
tries=20
until sees 200 > /dev/null 2>&1 || [ "$tries" -eq 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
done
echo 'pair: passed'
poweroff -f
