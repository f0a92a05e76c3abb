#!/bin/busybox sh
# A guest with several vCPUs at work: stressors that verify what they do, then builds in parallel whose results have to be those of a serial one.
# seconds=N on the kernel command line is for how long the stressors work; there is a parallel build for each ten seconds.
. /common.sh
. /lib/setup.sh
mkdir -p /dev/shm /build
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
seconds=$(sed 's/.*seconds=\([0-9]*\).*/\1/' /proc/cmdline)
builds=$((seconds / 10))
echo "stress: $(nproc) vCPUs"

# Says how many stressors did something in so many seconds: operations of each, a number of at least one, and not the rates with fractions further down.
stress() {
    stress-ng --verify --timeout "$1s" --temp-path /tmp --metrics-brief --no-rand-seed \
        --cpu 2 --vm 1 --vm-bytes 16m --fork 1 --mmap 1 --mmap-bytes 2m --pipe 1 --futex 1 --switch 1 > /tmp/stress.log 2>&1 || {
        cat /tmp/stress.log
        fail 'stress-ng'
    }
    grep -E 'metrc.* (cpu|vm|fork|mmap|pipe|futex|switch) +[1-9][0-9]* ' /tmp/stress.log > /tmp/operations
    working=$(wc -l < /tmp/operations)
}

# On a busy host a pass over the memory may take longer.
stress "$seconds"
while [ "$working" != 7 ] && [ "$seconds" -lt 60 ]; do
    seconds=$((seconds * 2))
    stress "$seconds"
done
cat /tmp/operations
[ "$working" = 7 ] || { cat /tmp/stress.log; fail 'a stressor that did nothing'; }
echo 'stress: verified'

# Files with many small functions, each of which calls the one before.
cd /build || fail 'no directory'
awk 'BEGIN {
    for (file = 0; file < 96; file++) {
        name = "part" file ".c"
        for (i = 0; i < 150; i++) {
            call = i > 0 ? sprintf("f%d_%d(a ^ b, b + %d)", file, i - 1, i) : "a + b"
            printf "unsigned f%d_%d(unsigned a, unsigned b) { unsigned t[4] = { a, b, %d, 7 }; for (unsigned k = 0; k < 4; k++) { a += t[k] << k; } return %s; }\n", \
                file, i, i * 77 + file, call > name
        }
        close(name)
    }
}'
cat > Makefile << 'MAKE'
OBJECTS := $(patsubst %.c,$(OUT)/%.o,$(sort $(wildcard *.c)))
$(OUT)/all.o: $(OBJECTS)
	tcc -r -o $@ $^
$(OUT)/%.o: %.c
	tcc -c -o $@ $<
MAKE
build() {
    mkdir "/build/$1"
    make -s "-j$2" "OUT=$1" || fail "build with $2 jobs"
}
build serial 1
round=0
while [ "$round" -le "$builds" ]; do
    build parallel 8
    for file in serial/*; do
        cmp "$file" "parallel/${file#serial/}" || fail "a build of $file with 8 jobs differs"
    done
    rm -r parallel
    round=$((round + 1))
    echo "stress: build $round"
done
echo "stress: $round parallel builds of $(ls serial | wc -l) files equal the serial one"
poweroff -f
