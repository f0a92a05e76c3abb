#!/bin/busybox sh
# First process of a guest that uses all of its CPUs up and says every second how long it has been up and how much of its vCPUs' time
# others had: the steal time of /proc/stat, which Linux reads from Xen's run states. Hundredths of a second, both.

/bin/busybox mkdir -p /proc
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc

cpus=$(grep -c ^processor /proc/cpuinfo)
for cpu in $(seq "$cpus"); do
    while :; do :; done &
done

for second in $(seq 45); do
    read -r uptime _ < /proc/uptime
    read -r _ user nice system idle iowait irq softirq steal _ < /proc/stat
    echo "shares: up ${uptime%.*}${uptime#*.} stolen $steal idle $idle at $(date +%s)"
    sleep 1
done
poweroff -f
