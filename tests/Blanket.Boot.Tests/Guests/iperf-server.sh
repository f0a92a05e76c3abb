#!/bin/busybox sh
# The server of iperf.sh as a guest on the same bridge; it ends when the test says so.
. /common.sh
start

ip link set lo up
# Without looking for others with the same address first.
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
wait_for test -e /sys/class/net/eth0
ip link set eth0 up
ip addr add 10.0.2.100/24 dev eth0
ip addr add fec0::100/64 dev eth0
iperf3 -s -D || fail 'server'
ask client-done
poweroff -f
