#!/bin/busybox sh
# iperf3 both ways to a server at 10.0.2.HOST and fec0::HOST, over every interface and with combinations of the interface's offloads:
#   host=HOST, port=P   the server's; interfaces=N  how many there are; complete  all combinations instead of some
#   rate=KBITS          one more interface has this limit for datagrams, which what the server receives must be within 5 % of
#   size=BYTES          what a transfer of TCP is, 2M if it is not said
#   fast=KBITS          and another this limit for TCP
. /common.sh
start

value() { sed -n "s/.*$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
host=$(value host)
port=$(value port)
interfaces=$(value interfaces)
size=$(value size)
[ -n "$host" ] && [ -n "$port" ] && [ -n "$interfaces" ] || fail 'command line'
ip link set lo up
# Without looking for others with the same address first.
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad

# Switches of one interface, as far as its driver lets them be switched.
offloads() {
    for switch in "$@"; do
        ethtool -K "$nic" "${switch%:*}" "${switch#*:}" > /dev/null 2>&1
    done
}
transfer() {
    timeout 60 iperf3 -c "${server:-10.0.2.$host}" -p "$port" -n "${size:-2M}" "$@" > /tmp/iperf 2>&1 || {
        cat /tmp/iperf
        fail "$nic with $combination: iperf3 $*"
    }
    count=$((count + 1))
}
both_ways() {
    combination=$*
    offloads $combination
    transfer
    transfer -R
}
combinations() {
    if grep -qw complete /proc/cmdline; then
        for tx in on off; do for sg in on off; do for tso in on off; do for gso in on off; do for gro in on off; do for rx in on off; do
            both_ways "tx:$tx" "sg:$sg" "tso:$tso" "gso:$gso" "gro:$gro" "rx:$rx"
        done; done; done; done; done; done
    else
        both_ways tx:on sg:on tso:on gso:on gro:on rx:on
        both_ways tso:off gso:off gro:off
        both_ways tx:off rx:off sg:off
    fi
}

count=0
number=0
while [ "$number" -lt "$interfaces" ]; do
    nic=eth$number
    wait_for test -e "/sys/class/net/$nic"
    ip link set "$nic" up
    # Every network is the same, so only one interface at a time has addresses.
    ip addr add "10.0.2.$((15 + number))/24" dev "$nic"
    ip addr add "fec0::$((15 + number))/64" dev "$nic"
    # The server may be a guest that has not started yet.
    wait_for iperf3 -c "10.0.2.$host" -p "$port" -n 64K
    combinations
    combination='IPv6'
    offloads tx:on sg:on tso:on gso:on gro:on rx:on
    server=fec0::$host transfer
    server=fec0::$host transfer -R
    combination='UDP'
    size=256K transfer -u -b 20M -l 1400
    size=256K transfer -u -b 20M -l 8000 -R
    ip addr flush dev "$nic"
    ip link set "$nic" down
    echo "iperf: $nic ok, $count transfers"
    number=$((number + 1))
done
# Bytes of frames that the limit counts for 1000 bytes that arrive, and how they are sent.
limited() {
    nic=eth$1
    rate=$2
    frames=$3
    shift 3
    wait_for test -e "/sys/class/net/$nic"
    ip link set "$nic" up
    ip addr add 10.0.2.14/24 dev "$nic"
    wait_for iperf3 -c "10.0.2.$host" -p "$port" -n 64K
    # Up to three times: a host that stands still for a moment is no fault of the limit's.
    for series in 1 2 3; do
        # The first second, in which what was saved up goes, is left out.
        timeout 60 iperf3 -c "10.0.2.$host" -p "$port" "$@" -O 1 -t 5 -f k > /tmp/iperf 2>&1 || {
            cat /tmp/iperf
            fail "$nic: iperf3"
        }
        received=$(sed -n 's/.* \([0-9][0-9]*\)[.0-9]* Kbits\/sec.* receiver.*/\1/p' /tmp/iperf)
        percent=$((${received:-0} * frames / 10 / rate))
        echo "iperf: $nic received $received kbit/s, $percent % of its limit"
        near "$percent" 100 && break
    done
    near "$percent" 100 || {
        cat /tmp/iperf
        fail "$nic: $percent % of its limit"
    }
    ip addr flush dev "$nic"
    ip link set "$nic" down
}
rate=$(value rate)
if [ -n "$rate" ]; then
    # 42 bytes of headers (Ethernet, IPv4, UDP) with 1400; next to none with segments that are cut by nobody on the way.
    limited "$interfaces" "$rate" 1030 -u -b "$((rate * 3))K" -l 1400
    limited "$((interfaces + 1))" "$(value fast)" 1002
fi
echo 'iperf: passed'
poweroff -f
