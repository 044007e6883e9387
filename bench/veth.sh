#!/bin/sh
# veth.sh ROOTFS COMMAND...: the container of shape.lua's rootfs+net+veth as a shell script makes it, of unshare, mount, ip and iptables. It
# leaves out what costs more than it tells: device nodes, pivot_root, checks.
set -e
root=$1; shift
name=bench$$; host=vb$$

ip netns add "$name"
ip link add "$host" type veth peer name eth0 netns "$name"
ip address add 10.97.0.1/24 dev "$host"
ip link set "$host" up
ip -n "$name" address add 10.97.0.2/24 dev eth0
ip -n "$name" link set lo up
ip -n "$name" link set eth0 up
ip -n "$name" route add default via 10.97.0.1
echo 1 > /proc/sys/net/ipv4/ip_forward
iptables -t nat -A POSTROUTING -s 10.97.0.2 ! -o "$host" -j MASQUERADE
iptables -A FORWARD -i "$host" -j ACCEPT
iptables -A FORWARD -o "$host" -j ACCEPT

status=0
ip netns exec "$name" unshare --uts --ipc --pid --mount --fork sh -c '
  hostname bench
  mount -t proc proc "$1/proc"; mount -t tmpfs -o mode=755 dev "$1/dev"; mount -t tmpfs -o size=16m,mode=755 run "$1/run"; mount -t sysfs sysfs "$1/sys"
  root=$1; shift
  exec chroot "$root" "$@"' sh "$root" "$@" || status=$?

iptables -D FORWARD -o "$host" -j ACCEPT
iptables -D FORWARD -i "$host" -j ACCEPT
iptables -t nat -D POSTROUTING -s 10.97.0.2 ! -o "$host" -j MASQUERADE
ip netns delete "$name"
exit $status
