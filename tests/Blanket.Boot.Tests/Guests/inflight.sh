#!/bin/busybox sh
# Writes to the first disk and pings the gateway without end: whoever ends this guest ends it with requests and packets in flight.
. /common.sh
start

ip addr add 10.0.2.200/24 dev eth0
ip link set eth0 up
ping -i 0.05 10.0.2.2 > /dev/null &
while :; do
    dd if=/dev/zero of=/dev/xvda bs=64k count=64 conv=fsync,notrunc 2> /dev/null
done
