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
/bin/busybox ip addr add "${address:-$watcher}/16" dev eth0
/bin/busybox ip link set eth0 up
echo "density: up $(/bin/busybox grep MemAvailable: /proc/meminfo)"

if [ -z "$watcher" ]; then
    while :; do
        /bin/busybox sleep 100000
    done
fi

while read -r target; do
    until /bin/busybox ping -c 1 -W 1 "$target" > /dev/null 2>&1; do
        :
    done
    echo "density: answers $target"
done
