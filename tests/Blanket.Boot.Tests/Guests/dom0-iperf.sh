# Sourced in dom0 before the domain starts: an iperf3 server on the bridge of the machine's first NIC, as 10.0.2.50 and fec0::50.
# Without looking for others with the same address first.
echo 0 > /proc/sys/net/ipv6/conf/nic0/accept_dad
ip addr add 10.0.2.50/24 dev nic0 && ip addr add fec0::50/64 dev nic0 || fail 'addresses for iperf3'
/job/files/lib/ld-linux-x86-64.so.2 --library-path /job/files/lib /job/files/bin/iperf3 -s -D || fail 'iperf3'
