#!/bin/busybox sh
# fio with verification over disks of 64 MiB each.
#   disks=N     how many, xvda and so on
#   divisor=N   what is written is the Nth part
. /common.sh
start
value() { sed "s/.*$1=\([0-9]*\).*/\1/" /proc/cmdline; }
disks=$(echo xvda xvdb | cut -d' ' -f "1-$(value disks)")
divisor=$(value divisor)
# Of so many MiB, where a job begins or how much it writes.
part() { echo "$(($1 * 1024 / divisor))k"; }

cat > /tmp/job << JOB
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
size=$(part 24)
[random-mixed-sizes-fsync]
stonewall
rw=randwrite
bsrange=512-256k
blockalign=512
offset=$(part 24)
size=$(part 16)
fsync=16
[random-mixed-with-reads]
stonewall
rw=randrw
bs=4k
offset=$(part 40)
size=$(part 4)
[discard-and-write]
stonewall
rw=randtrimwrite
bs=64k
offset=$(part 44)
size=$(part 12)
[buffered-fsync]
stonewall
direct=0
rw=randwrite
bs=4k
offset=$(part 56)
size=$(part 4)
fsync=64
end_fsync=1
JOB
for disk in $disks; do
    wait_for test -e "/dev/$disk"
    fio --filename="/dev/$disk" --output=/tmp/fio.log /tmp/job || { cat /tmp/fio.log; fail "fio on $disk"; }
    grep -E 'err= [^0]' /tmp/fio.log && fail "fio found errors on $disk"
    [ "$(grep -c 'err= 0' /tmp/fio.log)" = 5 ] || { cat /tmp/fio.log; fail "jobs of fio on $disk"; }
    [ "$(cut -d' ' -f12 "/sys/class/block/$disk/stat" | tr -d ' ')" != 0 ] || fail "no discard on $disk"
    echo "fio: $disk ok"
done
poweroff -f
