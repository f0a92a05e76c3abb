#!/bin/sh
# Runs a command in a network namespace with a TAP device for each of some NICs, at whose other end is 10.0.2.2 and an iperf3 server.
#   unshare -rn sh namespace.sh NICS ROOT COMMAND ARGUMENTS...
# ROOT has iperf3 and its libraries in bin and lib.
set -eu

nics=$1 root=$2
shift 2
ip link set lo up
number=0
while [ "$number" -lt "$nics" ]; do
    tap=tap$number
    ip tuntap add "$tap" mode tap vnet_hdr
    ip link set "$tap" up
    ip addr add 10.0.2.2/32 dev "$tap"
    ip route add "10.0.2.$((15 + number))/32" dev "$tap"
    ip addr add fec0::2/128 dev "$tap" nodad
    ip route add "fec0::$((15 + number))/128" dev "$tap"
    number=$((number + 1))
done
"$root/lib/ld-linux-x86-64.so.2" --library-path "$root/lib" "$root/bin/iperf3" -s > /dev/null &
server=$!
# In here every user is number 0, whose running instances are not this user's.
XDG_RUNTIME_DIR=$(mktemp -d)
export XDG_RUNTIME_DIR
trap 'kill "$server"; rm -r "$XDG_RUNTIME_DIR"' EXIT
"$@"
