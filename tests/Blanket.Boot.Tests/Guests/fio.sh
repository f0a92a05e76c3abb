#!/bin/busybox sh
# fio with verification: xvda is a raw image, xvdb a qcow2 one, each of 64 MiB.
. /common.sh
start
wait_for test -e /dev/xvdb

cat > /tmp/job << 'JOB'
[global]
ioengine=libaio
iodepth=16
direct=1
thread
verify=crc32c
verify_fatal=1
group_reporting
randseed=1
[sequential]
rw=write
bs=1M
size=24M
[random-mixed-sizes-fsync]
stonewall
rw=randwrite
bsrange=512-256k
blockalign=512
offset=24M
size=16M
fsync=16
[random-mixed-with-reads]
stonewall
rw=randrw
bs=4k
offset=40M
size=4M
[discard-and-write]
stonewall
rw=randtrimwrite
bs=64k
offset=44M
size=12M
[buffered-fsync]
stonewall
direct=0
rw=randwrite
bs=4k
offset=56M
size=4M
fsync=64
end_fsync=1
JOB
for disk in xvda xvdb; do
    fio --filename="/dev/$disk" --output=/tmp/fio.log /tmp/job || { cat /tmp/fio.log; fail "fio on $disk"; }
    grep -E 'err= [^0]' /tmp/fio.log && fail "fio found errors on $disk"
    [ "$(grep -c 'err= 0' /tmp/fio.log)" = 5 ] || { cat /tmp/fio.log; fail "jobs of fio on $disk"; }
    [ "$(cut -d' ' -f12 "/sys/class/block/$disk/stat" | tr -d ' ')" != 0 ] || fail "no discard on $disk"
    echo "fio: $disk ok"
done
poweroff -f
