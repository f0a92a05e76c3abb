#!/bin/busybox sh
# Called by udhcpc with what the DHCP server said.
case "$1" in
    deconfig)
        ip addr flush dev "$interface"
        ;;
    bound | renew)
        ip addr replace "$ip/${mask:-24}" dev "$interface"
        for gateway in $router; do
            ip route replace default via "$gateway" dev "$interface"
            echo "$gateway" > /tmp/gateway
            break
        done
        for server in $dns; do
            echo "nameserver $server"
        done > /etc/resolv.conf
        echo "$ip" > /tmp/address
        ;;
esac
