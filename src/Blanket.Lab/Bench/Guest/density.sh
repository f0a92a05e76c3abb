#!/bin/busybox sh
# First process of the guests of 'bench --guests': with address=A on the kernel command line the guest takes this address and answers ping.
# The watcher (watcher=A) reads addresses from its console and says 'answers ADDRESS' when one does.

/bin/busybox mount -t proc proc /proc
while read -r module; do
    /bin/busybox insmod "/lib/modules/$module"
done < /lib/modules/order
for word in $(/bin/busybox cat /proc/cmdline); do
    case $word in
        address=*) address=${word#*=} ;;
        watcher=*) watcher=${word#*=} ;;
    esac
done

while [ ! -e /proc/sys/net/ipv4/conf/eth0 ]; do
    /bin/busybox sleep 0.05
done
# Its address is announced as soon as it is there: a ping that waits for it goes on at once, not with the next question for it, up to 1 s later.
echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_notify
/bin/busybox ip addr add "${address:-$watcher}/16" dev eth0
/bin/busybox ip link set eth0 up
echo "density: up $(/bin/busybox grep MemAvailable: /proc/meminfo)"

if [ -z "$watcher" ]; then
    while :; do
        /bin/busybox sleep 100000
    done
fi

# Pings wait until their target has an Ethernet address, for as long as it takes.
echo 100000 > /proc/sys/net/ipv4/neigh/eth0/mcast_solicit
while read -r target; do
    # Ten a second until one is answered: the next answer after that ends ping, which nobody reads any more.
    /bin/busybox ping -i 0.1 "$target" 2> /dev/null | {
        read -r _
        read -r _ && echo "density: answers $target"
    }
done
