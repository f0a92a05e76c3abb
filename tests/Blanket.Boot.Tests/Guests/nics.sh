#!/bin/busybox sh
# eth0 and eth1 are on networks of their own, each with a DHCP server; L0's first NIC takes IP packets of 1,400 bytes at most.
. /common.sh
start

for nic in eth0 eth1; do
    wait_for test -e "/sys/class/net/$nic"
    ip link set "$nic" up
    udhcpc -i "$nic" -n -q -t 20 -T 2 -s /lib/udhcpc.sh > /tmp/udhcpc.log 2>&1 || fail "no address for $nic"
    echo "nics: $nic $(cat /sys/class/net/$nic/address) $(cat /tmp/address)"
done

# Both networks have the same addresses, so the interface is said.
answers() { ping -q -I "$1" -c 1 -W "${3:-10}" -s "$2" 10.0.2.2 > /tmp/ping 2>&1; }
only() {
    for nic in eth0 eth1; do ip link set "$nic" down; done
    ip link set "$1" up
    ip addr replace 10.0.2.15/24 dev "$1"
    ip route replace default via 10.0.2.2 dev "$1"
}

only eth1
answers eth1 1472 || fail 'eth1 with full packets'
only eth0
answers eth0 1372 || fail 'eth0 with the largest packets'
answers eth0 1472 2 && fail 'a packet that is too large for the NIC got through'
ip link set eth0 mtu 1400
answers eth0 1472 || fail 'eth0 with fragments'
echo 'nics: mtu ok'

ask link-down
answers eth0 56 2 && fail 'an answer while the link is down'
ask link-up
wait_for answers eth0 56 2
echo 'nics: link ok'
poweroff -f
