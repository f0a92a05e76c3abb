# Job of dom0: runs the domain of /job/domain.cfg to its end and only then passes on what it wrote on its console, so that dom0
# does nothing while the domain measures itself.

exec 3<> /dev/vport0p1
console=/var/run/xenconsoled.pid
kill "$(cat "$console")"
while [ -d "/proc/$(cat "$console")" ]; do sleep 0.1; done
xenconsoled --pid-file="$console" --log=guest --log-dir=/var/log/xen

# The domain's NIC is on the machine's.
for nic in /sys/class/net/eth*; do
    [ -e "$nic" ] || continue
    ip link add nic0 type bridge
    ip link set "${nic##*/}" master nic0
    ip link set "${nic##*/}" up
    ip link set nic0 up
    break
done

# In the foreground: xl sleeps until the domain is gone.
xl create -F /job/domain.cfg > /var/log/xen/create.log 2>&1 || fail "xl create: $(tail -n 1 /var/log/xen/create.log)"
cat /var/log/xen/guest-*.log >&3
echo 'bed: the domain is gone'
# Whoever reads the port ends the machine.
sleep 60
