# Job of dom0: runs the domain of /job/domain.cfg to its end. Its console is the machine's port 1, in both directions; port 2
# takes words that make something happen to the domain (see 'obey') and answers each with a line 'done WORD STATUS'.

exec 3<> /dev/vport0p1 6>&1

# Each NIC of the machine gets a bridge: nic0 is that of eth0.
for nic in /sys/class/net/eth*; do
    [ -e "$nic" ] || continue
    device=${nic##*/}
    bridge=nic${device#eth}
    ip link add "$bridge" type bridge
    ip link set "$device" master "$bridge"
    ip link set "$device" up
    ip link set "$bridge" up
done

# The number of the domain, which a save or a migration changes.
domain_id() {
    for id in $(xenstore-list /local/domain); do
        [ "$(xenstore-read "/local/domain/$id/name" 2> /dev/null)" = blanket ] && echo "$id" && return
    done
    return 1
}

# Whether the domain is gone for good: not while a word is obeyed that takes it away for a moment. Asked in this order, because a domain that is
# back when the word is done is there from then on.
is_gone() {
    [ ! -e /tmp/busy ] && [ ! -e /tmp/paused ] && ! domain_id > /dev/null
}

# Copies the domain's console until the domain is gone for good. A domain that was restored is there before xenconsoled has opened its console; one
# that was created paused begins when its console is open: it may be gone again in less time than that takes.
follow() {
    until is_gone; do
        tty=$(xenstore-read "/local/domain/$(domain_id)/console/tty" 2> /dev/null)
        if [ -e "$tty" ]; then
            cat <&3 > "$tty" &
            input=$!
            # Ends when xenconsoled has nothing more of this domain.
            exec 5< "$tty"
            cat <&5 >&3 2> /dev/null &
            output=$!
            exec 5<&-
            if [ -e /tmp/paused ]; then
                rm /tmp/paused
                xl unpause blanket
            fi
            wait "$output"
            kill "$input"
        else
            sleep 0.1
        fi
    done
}

# A save and restore through a file on the host. Through a pipe: pages of a domain cannot be handed to the host's file system.
save_restore() {
    mkfifo /tmp/stream
    cat /tmp/stream > /job/saved &
    copy=$!
    xl save blanket /tmp/stream && wait "$copy" && xl restore /job/saved
    status=$?
    kill "$copy"
    rm -f /tmp/stream
    rm -f /job/saved
    return "$status"
}

# xl calls this instead of ssh: the target is this host.
migrate() {
    printf '#!/bin/sh\nshift\nexec "$@"\n' > /tmp/here
    chmod +x /tmp/here
    xl migrate -s /tmp/here blanket localhost
}

# Where the state of a device's backend is.
state_of() {
    echo "/local/domain/0/backend/${1%/*}/$(domain_id)/${1#*/}/state"
}

# Waits half a minute for a device to be connected.
connects() {
    tries=300
    until [ "$(xenstore-read "$(state_of "$1")")" = 4 ]; do
        [ "$tries" -gt 0 ] || return 1
        tries=$((tries - 1))
        sleep 0.1
    done
}

# The backend of a device closes, and opens again when the domain has closed its half.
reopen() {
    xenstore-write "$(state_of "$1")" 5
    connects "$1"
}

# A disk of dom0's becomes one of the domain's, and is used.
attach() {
    xl block-attach blanket "format=raw, vdev=$1, access=rw, backendtype=phy, target=/dev/$2" && connects "vbd/$1"
}

# A network interface with an address, on the bridge of the machine's first NIC, becomes the domain's, and is used.
attach_vif() {
    xl network-attach blanket "mac=$1" bridge=nic0 script=vif && connects vif/0
}

obey() {
    case $1 in
        save-restore) save_restore ;;
        migrate) migrate ;;
        shutdown) xl shutdown blanket ;;
        reboot) xl reboot blanket ;;
        memory) xl mem-set blanket "$2" ;;
        list) xl list blanket | sed 's/^/bed: /' >&6 ;;
        reopen) reopen "$2" ;;
        detach) xl block-detach blanket "$2" ;;
        attach) attach "${2%=*}" "${2#*=}" ;;
        detach-vif) xl network-detach blanket "$2" ;;
        attach-vif) attach_vif "$2" ;;
        destroy) xl destroy blanket ;;
        *) return 127 ;;
    esac > "/var/log/xen/$1.log" 2>&1
}

listen() {
    while read -r word argument <&4; do
        touch /tmp/busy
        obey "$word" "$argument"
        status=$?
        [ "$status" -eq 0 ] || sed "s/^/bed: $word: /" "/var/log/xen/$word.log"
        rm -f /tmp/busy
        echo "done $word $status" >&4
    done
}

[ -e /job/prepare.sh ] && . /job/prepare.sh
touch /tmp/paused
if ! xl create -p /job/domain.cfg > /var/log/xen/create.log 2>&1; then
    # The device model's log is there for HVM domains only.
    sed 's/^/bed: /' /var/log/xen/create.log /var/log/xen/qemu-dm-blanket.log 2> /dev/null
    fail "xl create: $(tail -n 1 /var/log/xen/create.log)"
fi
echo 'bed: the domain is created'
listen &
follow
grep -h 'has shut down' /var/log/xen/xl-blanket*.log | sed 's/^/bed: /'
echo 'bed: the domain is gone'
