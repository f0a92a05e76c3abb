#!/bin/sh
# Hotplug script of xl for a vif, or for the emulated NIC beside it: puts it on its bridge.
[ "$1" = add ] || [ "$1" = online ] || exit 0
device=$vif
[ "$2" = type_if=tap ] && device=$INTERFACE
ip link set "$device" master "$(xenstore-read "$XENBUS_PATH/bridge")" && ip link set "$device" up || exit 1
xenstore-write "$XENBUS_PATH/hotplug-status" connected
