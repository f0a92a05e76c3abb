# Sourced by the first processes of the test guests.

fail() {
    dmesg | tail -n 20
    echo "failed: $1"
    sleep 1
    exit 1
}

# What every small guest does first, and the first disk.
start() {
    . /lib/setup.sh
    # A message of the kernel's must not fall into a line that a test waits for.
    dmesg -n 1
    tries=300
    while [ ! -e /dev/xvda ]; do
        [ "$tries" -gt 0 ] || fail 'no disk'
        tries=$((tries - 1))
        sleep 0.1
    done
}

# Succeeds within two minutes, or the guest fails.
wait_for() {
    tries=600
    until "$@" > /dev/null 2>&1; do
        [ "$tries" -gt 0 ] || fail "waiting for: $*"
        tries=$((tries - 1))
        sleep 0.2
    done
}

# Whether what was measured is within 5 % of what was expected.
near() {
    [ $(($1 * 100)) -ge $(($2 * 95)) ] && [ $(($1 * 100)) -le $(($2 * 105)) ]
}

# Has the test do something (GuestMachine), and goes on when it is done.
ask() {
    echo "await: $1"
    read -r _ < /dev/console
}
