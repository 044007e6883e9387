#!/bin/bash
# A little internet of its own: this network namespace plays the host, another the outside, with a server that answers with the address that it saw.
. "$(dirname "$0")/common.sh"
. "$here/internet.sh"
[ -x "$python" ] || { echo "skipped: no $python for the servers"; exit 77; }
make_rootfs rootfs
mark=e2e-net-$$
make_outside 10.77.0 fd77:
make_servers
serve_outside outside 80
# what the host's administrator has there already, on every hook that luabox uses
nft -f - <<'N'
table inet site {
  chain forward {
    type filter hook forward priority 10; policy accept
    counter
  }
  chain input {
    type filter hook input priority 0; policy accept
    ip saddr 10.99.99.99 drop
  }
}
table ip nat {
  chain post {
    type nat hook postrouting priority 100
    ip saddr 10.88.0.0/16 masquerade
  }
}
N
rules() { nft -s list ruleset; }
rules > rules.before
before=$(interfaces)
# The kernel takes a container's interface away a moment after its end.
as_before() { [ "$(interfaces)" = "$before" ]; }
no_interface() { if within 10 as_before; then ok "$1"; else failed "$1" "$(interfaces)"; fi; }

run() { timeout $((30 * slow)) "$LUABOX" run "$@" < /dev/null; }
# box NAME VETH-FIELDS [FIELD...]: NAME.lua
box() {
  local name=$1 veth=$2; shift 2
  script "name = '$mark-$name'" "network = veth { $veth }" "$system" "command = { 'sh' }" "$@"
  mv box.lua "$name.lua"
}
ask() { local script=$1; shift; run "$script" -- /usr/bin/python3 /ask.py "$@" 2>&1; }
# serving SCRIPT NAME PORT...: the container stays and serves; its process is $child
serving() {
  local script=$1 name=$2; shift 2
  rm -f "$name.log"
  "$LUABOX" run "$script" -- /usr/bin/python3 /server.py "$name" "$@" < /dev/null > "$name.log" 2>&1 & child=$!; jobs+=($child)
  within 20 grep -qs ready "$name.log" || failed "$name serves" "$(cat "$name.log")"
}
end() { kill -TERM $1; wait $1 2>/dev/null; }

# ---- NAT

box nat "host = '172.16.99.1/24', guest = '172.16.99.100/24', nat = true"
equal "the outside sees the host's address" "outside 10.77.0.1" "$(ask nat.lua tcp 10.77.0.2 80)"
equal "by UDP too" "outside 10.77.0.1" "$(ask nat.lua udp 10.77.0.2 80)"
equal "eth0 and lo are up, with their addresses" "127.0.0.1/8 172.16.99.100/24" "$(run nat.lua -- ip -4 -o address | awk '{ print $4 }' | xargs)"
equal "the default route is the host's end" "172.16.99.1" "$(run nat.lua -- ip route | awk '$1 == "default" { print $3 }')"
holds "/etc/hosts has the container's address" "172.16.99.100" "$(run nat.lua -- grep "$mark-nat" /etc/hosts)"
servers=$(grep ^nameserver /etc/resolv.conf | grep -v ' 127\.' | xargs)
equal "/etc/resolv.conf has the host's servers" "$servers" "$(run nat.lua -- grep ^nameserver /etc/resolv.conf | xargs)"
# on_host TEXT: what a container has where the host's resolv.conf says TEXT, and the files in ./run are those in its /run.
on_host() {
  printf '%b' "$1" > resolv.host
  unshare --mount --propagation private sh -c 'mount --bind resolv.host /etc/resolv.conf && mount --bind run /run && exec timeout 20 "$@"' - "$LUABOX" run nat.lua -- grep ^nameserver /etc/resolv.conf < /dev/null 2>&1 | xargs
}
mkdir -p run/systemd/resolve; echo 'nameserver 192.0.2.53' > run/systemd/resolve/resolv.conf
equal "those behind systemd-resolved, where that is the host's" "nameserver 192.0.2.53" "$(on_host 'nameserver 127.0.0.53\noptions edns0\n')"
equal "and not where it is one of them" "nameserver 192.0.2.1" "$(on_host 'nameserver 127.0.0.53\nnameserver 192.0.2.1\n')"
rm -rf run; mkdir run
holds "that none is left is told" "name others with dns = { ... }" "$(on_host 'nameserver 127.0.0.53\n')"
rmdir run
box plain "host = '172.16.99.1/24', guest = '172.16.99.100/24', route = false"
equal "route = false: no default route" "" "$(run plain.lua -- ip route | grep default)"
holds "and the outside is out of reach" "no answer" "$(ask plain.lua tcp 10.77.0.2 80)"
box bare "host = '172.16.99.1/24', guest = '172.16.99.100/24'"
holds "without nat the outside is out of reach" "no answer" "$(ask bare.lua tcp 10.77.0.2 80)"
box named "host = '172.16.99.1/24', guest = '172.16.99.100/24', name = 'net7', mtu = 1400, mac = '02:00:00:00:00:07'"
holds "name, mtu and mac are what was said" "1400 02:00:00:00:00:07" \
  "$(run named.lua -- sh -c 'cat /sys/class/net/net7/mtu /sys/class/net/net7/address' | xargs)"

# ---- while one runs: published ports, spoofing, other containers, the host's rules

if command -v strace > /dev/null; then
  # To close the socket takes milliseconds: the kernel does so behind the process, which left it in flight.
  strace -qq -o calls -e trace=socketpair,exit_group "$LUABOX" run nat.lua -- true
  equal "nobody waits for the last firewall" "socketpair exit_group" "$(tail -2 calls | sed 's/(.*//' | xargs)"
fi

box web "host = '172.16.98.1/24', guest = '172.16.98.2/24', nat = true, publish = { '8080:80', '8053:80/udp', '127.0.0.1:8081:80', '10.77.0.1:8082:80' }"
serving web.lua web 80; web=$child
outside_asks() { out "$python" ask.py "$@" 2>&1; }
equal "a published port answers the outside, which keeps its address" "web 10.77.0.2" "$(outside_asks tcp 10.77.0.1 8080)"
equal "and by UDP" "web 10.77.0.2" "$(outside_asks udp 10.77.0.1 8053)"
equal "one of a single address answers there" "web 10.77.0.2" "$(outside_asks tcp 10.77.0.1 8082)"
holds "one of 127.0.0.1 doesn't answer the outside" "no answer" "$(outside_asks tcp 10.77.0.1 8081)"
holds "a port that is not published isn't reached" "no answer" "$(outside_asks tcp 10.77.0.1 80)"
out ip route add 172.16.98.0/24 via 10.77.0.1
holds "nor is the container's own address, also with a route to it" "no answer" "$(outside_asks tcp 172.16.98.2 80)"
holds "the host reaches it by its own address" "web " "$("$python" ask.py tcp 10.77.0.1 8080)"
holds "the host reaches it by the container's address" "web 172.16.98.1" "$("$python" ask.py tcp 172.16.98.2 80)"
holds "the host reaches it by 127.0.0.1" "web " "$("$python" ask.py tcp 127.0.0.1 8081)"

equal "another container doesn't reach it" "no answer" "$(ask nat.lua tcp 172.16.98.2 80 | grep -o '^no answer')"
equal "nor by UDP" "no answer" "$(ask nat.lua udp 172.16.98.2 80 | grep -o '^no answer')"
equal "nor does one without NAT" "no answer" "$(ask bare.lua tcp 172.16.98.2 80 | grep -o '^no answer')"
holds "another container reaches its published port, as anybody does" "web " "$(ask nat.lua tcp 10.77.0.1 8080)"

box liar "host = '172.16.97.1/24', guest = '172.16.97.2/24', nat = true" "capabilities = { add = { 'NET_ADMIN', 'NET_RAW' } }"
sent=$(grep -c datagram outside.log)
run liar.lua -- sh -c 'ip address add 10.66.6.6/32 dev eth0; ip address add 172.16.98.7/32 dev eth0
  /usr/bin/python3 /ask.py udp 10.77.0.2 80 10.66.6.6; /usr/bin/python3 /ask.py udp 10.77.0.2 80 172.16.98.7' > output 2>&1
equal "a spoofed source doesn't get out" "$sent 2" "$(grep -c datagram outside.log) $(grep -c 'no answer' output)"
sent=$(grep -c datagram outside.log); ask liar.lua udp 10.77.0.2 80 > output
equal "while its own does" $((sent + 1)) "$(grep -c datagram outside.log)"
holds "a service of the host's loopback is out of reach" "no answer" \
  "$("$python" server.py loopback 7070 > loopback.log & echo $! > loopback.pid; within 20 grep -q ready loopback.log
     run liar.lua -- sh -c 'ip link set lo down; ip route add 127.0.0.0/8 via 172.16.97.1 dev eth0; ip address flush dev lo; /usr/bin/python3 /ask.py tcp 127.0.0.1 7070' 2>&1)"
kill "$(cat loopback.pid)"

holds "an address in use is told, with the line and who has it" "bare2.lua:4: the address 172.16.98.1 is in use by the container $mark-web" \
  "$(sed 's/172.16.99/172.16.98/g' bare.lua > bare2.lua; run bare2.lua -- true 2>&1)"
run bare2.lua -- true > /dev/null 2>&1; equal "with status 125" 125 $?
box race "host = '172.16.96.1/24', guest = '172.16.96.2/24'" "name = nil"
for _ in 1 2 3 4 5 6; do { run race.lua -- sleep 3 2>&1 && echo started; } & jobs+=($!); done > race.out
one_started() { [ "$(grep -c "the address 172.16.96.1 is in use by the container" race.out)" = 5 ]; }
if within 10 one_started; then ok "of six that start at one moment with one address, one gets it"
else failed "of six that start at one moment with one address, one gets it" "$(cat race.out)"; fi
wait "${jobs[@]: -6}"; equal "(it ran)" 1 "$(grep -c started race.out)"
# The second interface's route for the network is the kernel's second choice.
box second "host = '172.16.98.11/24', guest = '172.16.98.12/24', nat = true"
equal "two pairs may be in one network: the second reaches the outside" "outside 10.77.0.1" "$(ask second.lua tcp 10.77.0.2 80)"
equal "and the first, still" "outside 10.77.0.1" "$(ask nat.lua tcp 10.77.0.2 80)"
box twin "host = '172.16.98.11/24', guest = '172.16.98.2/24', nat = true"
holds "but the same address inside is in use" "twin.lua:4: the address 172.16.98.2 is in use by the container $mark-web" "$(run twin.lua -- true 2>&1)"
rules | grep -v "$mark" > rules.during
succeeds "the rules of others are untouched while containers run" \
  "$python" -c 'import sys; b, d = open("rules.before").read(), open("rules.during").read(); sys.exit(any(l not in d for l in b.split("\n")))'
end $web
rules > rules.after; succeeds "and byte for byte the same when they have ended" cmp rules.before rules.after
no_interface "no interface is left"
serving web.lua web 80; end $child; serving web.lua web 80
equal "the same address is free again at once" "web 10.77.0.2" "$(outside_asks tcp 10.77.0.1 8080)"
end $child

# ---- IPv6

box six "host = { '172.16.99.1/24', 'fd99::1/64' }, guest = { '172.16.99.100/24', 'fd99::2/64' }, nat = true"
equal "both addresses are there" "172.16.99.100/24 fd99::2/64" "$(run six.lua -- sh -c 'ip -o address show dev eth0 scope global' | awk '{ print $4 }' | xargs)"
equal "both default routes" "172.16.99.1 fd99::1" "$(run six.lua -- sh -c 'ip route; ip -6 route' | awk '$1 == "default" { print $3 }' | xargs)"
equal "NAT by IPv6" "outside fd77::1" "$(ask six.lua tcp fd77::2 80)"
equal "and by IPv4 beside it" "outside 10.77.0.1" "$(ask six.lua tcp 10.77.0.2 80)"
box seven "host = 'fd98::1/64', guest = 'fd98::2/64', nat = true, publish = { '8080:80' }"
serving seven.lua seven 80
equal "a port published by IPv6 answers at once" "seven fd77::2" "$(outside_asks tcp fd77::1 8080)"
holds "isolation by IPv6" "no answer" "$(ask six.lua tcp fd98::2 80)"
end $child

box narrow "host = { '172.16.96.1/24', 'fd96::1/64' }, guest = { '172.16.96.2/24', 'fd96::2/64' }, nat = true, egress = { '10.77.0.2:80/tcp', '[fd77::2]:80/udp' }"
equal "egress: what is listed is reached" "outside 10.77.0.1" "$(ask narrow.lua tcp 10.77.0.2 80)"
holds "and by no other protocol" "no answer" "$(ask narrow.lua udp 10.77.0.2 80)"
equal "by IPv6 too" "outside fd77::1" "$(ask narrow.lua udp fd77::2 80)"
holds "nor there by another" "no answer" "$(ask narrow.lua tcp fd77::2 80)"

# Neighbour discovery is let through, to this host: forwarded it would be a letter to anybody, which no translation touches.
cat > rootfs/discover.py <<'P'
import socket, struct, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
for kind in 135, 136, 128: s.sendto(struct.pack("!BBHI", kind, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, sys.argv[1]), (sys.argv[1], 0))
P
out nft -f - <<'N'
table ip6 seen {
  chain input {
    type filter hook input priority 0; policy accept
    ip6 saddr fd96::/64 counter comment "letters"
    icmpv6 type echo-request counter comment "requests"
  }
}
N
counted() { out nft list table ip6 seen | grep "\"$1\"" | grep -o 'packets [0-9]*' | tr -dc 0-9; }
for egress in "{}" "{ 'fd77::2' }"; do
  box discoverer "host = { '172.16.96.1/24', 'fd96::1/64' }, guest = { '172.16.96.2/24', 'fd96::2/64' }, nat = true, egress = $egress" "capabilities = { add = { 'net_raw' } }"
  run discoverer.lua -- /usr/bin/python3 /discover.py fd77::2; sleep 0.2
  if [ "$egress" = "{}" ]; then
    equal "egress: nothing is nothing, also as neighbour discovery" "0 0" "$(counted letters) $(counted requests)"
  else
    equal "egress: what is listed gets the request" 1 "$(counted requests)"
  fi
done

# ---- one name, two states: neither is in the other's way, nor takes anything of the other's away

serving web.lua web 80; web=$child
limit() { find /sys/fs/cgroup -path "*/luabox/$mark-web*/pids.max" -exec cat {} +; }
equal "(its limit)" 4096 "$(limit)"
holds "an address that another state's container has is told" "in use" "$(LUABOX_STATE=$work/other run web.lua -- true 2>&1)"
V="host = '172.16.95.1/24', guest = '172.16.95.2/24', nat = true"
box alike "$V" "cgroup = { pids = 77 }"
equal "a name that another state has is free" "outside 10.77.0.1" "$(LUABOX_STATE=$work/other run --name "$mark-web" alike.lua -- /usr/bin/python3 /ask.py tcp 10.77.0.2 80 2>&1)"
equal "and the first is as it was" "web 10.77.0.2 4096" "$(outside_asks tcp 10.77.0.1 8080) $(limit)"
end $web; no_interface "and goes alone"

# The second has looked already when the first makes what both are to have: its folder is locked till then, or a step of its own stands still.
late() { # WHAT WAITS GO WANTED
  LUABOX_STATE=$work/other "$LUABOX" run --name "$mark-web" late.lua -- echo ran < /dev/null > late.out 2>&1 & late=$!; jobs+=($late)
  within 10 eval "$2" || failed "(it waits)" "$(cat late.out)"
  serving web.lua web 80; web=$child
  eval "$3"; wait $late
  holds "two start at once: $1" "$4" "$(cat late.out)"
  equal "two start at once: the other is as it was, $1" "web 10.77.0.2 4096" "$(outside_asks tcp 10.77.0.1 8080) $(limit)"
  end $web; no_interface "two start at once: both go, $1"
  leaves_nothing "two start at once: nothing is left, $1"
}
make_rootfs rootfs2
box late "host = '172.16.95.1/24', guest = '172.16.95.2/24'"; sed -i "s:/rootfs:/rootfs2:; /mounts =/d" late.lua
exec 8< rootfs2; flock 8
late "with a cgroup" 'test -e "other/$mark-web" && sleep 0.5' 'exec 8<&-' ran
box late "$V" "{ prepare = function() assert(io.open('waits', 'w')):close() while not io.open 'go' do end end }"
late "with a table" 'test -e waits' 'touch go' "late.lua:4: the nftables table luabox-$mark-web exists already"

# What a killed luabox's container was called may be another's by now.
box alike "$V"
LUABOX_STATE=$work/other "$LUABOX" run --name "$mark-web" alike.lua -- sleep 60 < /dev/null > /dev/null 2>&1 & victim=$!; jobs+=($victim)
up() { LUABOX_STATE=$work/other "$LUABOX" list | grep -q running; }; within 10 up; kill -9 $victim; wait $victim 2>/dev/null
own() { find /sys/fs/cgroup -path "*/luabox/$mark-web" -type d; }
emptied() { own | xargs -r rmdir 2>/dev/null; [ -z "$(own)" ]; }; within 5 emptied; nft delete table inet "luabox-$mark-web"
serving web.lua web 80; web=$child
LUABOX_STATE=$work/other "$LUABOX" gc
equal "gc leaves what another state's container has by now" "web 10.77.0.2 4096" "$(outside_asks tcp 10.77.0.1 8080) $(limit)"
equal "and has done its own work" "" "$(LUABOX_STATE=$work/other "$LUABOX" list | grep "$mark")"
end $web; no_interface "(gone)"

# ---- a flow of UDP that goes on: it leads where the rules lead now, not where they led when it began

# Prints each answer that comes from another than the last one; ends when there is a file.
cat > insist.py <<'P'
import os, socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.05)
last = None
while not os.path.exists(sys.argv[3]):
    try:
        s.sendto(b"?", (sys.argv[1], int(sys.argv[2])))
        name = s.recv(100).split()[0].decode()
        if name != last: print(name, flush=True)
        last = name
    except OSError: pass
    time.sleep(0.02)
P
cp insist.py rootfs/
# insists LOG HOST: the outside goes on asking for HOST's port 5353, from one port; LOG has who answered
insists() { : > "$1"; nsenter --net=/proc/$outside/ns/net "$python" insist.py "$2" 5353 stop > "$1" & insisting+=($!); jobs+=($!); }
answered() { [ "$(xargs < "$1")" = "$2" ]; }
# What has the kernel track and translate, whatever becomes of luabox's: the host's own.
nft 'add chain ip nat theirs { type nat hook prerouting priority -100; }; add table ip6 nat; add chain ip6 nat theirs { type nat hook prerouting priority -100; }'
# flow KIND NAME NUMBER [PUBLISH]: NAME.lua, a container that has the address of that number
flow() {
  local network="veth { host = { '172.16.95.1/24', 'fd95::1/64' }, guest = { '172.16.95.$3/24', 'fd95::$3/64' }, nat = true, publish = { ${4:-} } }"
  [ "$1" = veth ] || network="bridge { 'flows', subnet = '10.96.0.0/24', subnet6 = 'fd96::/64', nat = true, address = '10.96.0.$3', publish = { ${4:-} } }"
  script "name = '$mark-$2'" "network = $network" "$system" "command = { 'sh' }"; mv box.lua "$2.lua"
}
flow bridge keeper 9; serving keeper.lua keeper 80; keeper=$child
for kind in veth bridge; do
  for host in 10.77.0.1 fd77::1; do
    flow $kind early 5 "'5353:53/udp'"; flow $kind heir 5; flow $kind late 6 "'5353:53/udp'"
    rm -f stop; insisting=(); insists before.log $host; sleep 0.3
    serving early.lua early 53
    succeeds "$kind, $host: who sends already reaches the container that publishes the port then" within 5 answered before.log early
    insists meanwhile.log $host; within 5 answered meanwhile.log early || failed "(another does)" "$(cat meanwhile.log)"
    end $child
    serving heir.lua heir 53; sleep 0.5; end $child
    equal "$kind, $host: when it has ended, who has its address is sent nothing" ready "$(xargs < heir.log)"
    serving late.lua late 53
    succeeds "$kind, $host: the next one that publishes it is reached, at another address" within 5 answered meanwhile.log "early late"
    insists killed.log $host; within 5 answered killed.log late || failed "(another does)" "$(cat killed.log)"
    # Its luabox is killed: its rules stay till gc.
    inside=$(pgrep -P $child | head -1); kill -9 $child; wait $child 2>/dev/null; gone() { [ ! -e /proc/$inside ]; }; within 5 gone
    "$LUABOX" gc > /dev/null
    flow $kind heir 6; serving heir.lua heir 53; sleep 0.5; end $child
    equal "$kind, $host: nor is who has the address of a killed one" ready "$(xargs < heir.log)"
    touch stop; wait "${insisting[@]}"
  done
done
# Of the host itself, and of a neighbour.
flow bridge early 5 "'5353:53/udp'"; flow bridge asker 7
rm -f stop; "$python" insist.py 10.77.0.1 5353 stop > before.log & insisting=$!; jobs+=($!)
run asker.lua -- /usr/bin/python3 /insist.py 10.77.0.1 5353 /stop > asker.log 2>&1 & asking=$!; jobs+=($!)
sleep 0.5; serving early.lua early 53
succeeds "a program of the host's that sends already reaches it" within 5 answered before.log early
succeeds "a neighbour that does, too" within 5 grep -qs early asker.log
touch stop rootfs/stop; wait $insisting $asking; end $child; end $keeper
nft 'delete chain ip nat theirs; delete table ip6 nat'
no_interface "nothing is left of them"

# ---- 127.0.0.1: what was published on it, for the host alone

# The outside takes 127.0.0.0/8 for a network like others, and this host for the way there.
lawless() {
  out sh -c 'ip address flush dev lo; ip route add 127.0.0.0/8 via 10.77.0.1 src 10.77.0.2; for c in all up0; do echo 1 > /proc/sys/net/ipv4/conf/$c/route_localnet; done'
}
lawful() { out sh -c 'for c in all up0; do echo 0 > /proc/sys/net/ipv4/conf/$c/route_localnet; done; ip route del 127.0.0.0/8; ip address add 127.0.0.1/8 dev lo'; }
here() { "$python" ask.py "$@" 2>&1 | cut -d' ' -f1; }
publish="'8080:80', '0.0.0.0:8083:80', '8053:80/udp', '127.0.0.1:8081:80', '127.0.0.2:8082:80', '127.0.0.1:8054:80/udp'"
for kind in veth bridge; do
  flow $kind local 5 "$publish"; serving local.lua local 80
  equal "$kind: by 127.0.0.1 the host reaches what was published on it" "local local" "$(here tcp 127.0.0.1 8081) $(here udp 127.0.0.1 8054)"
  equal "$kind: by another of 127.0.0.0/8 what was published there" "local no" "$(here tcp 127.0.0.2 8082) $(here tcp 127.0.0.2 8081)"
  equal "$kind: and nothing else" "no no no no" "$(here tcp 127.0.0.1 8080) $(here tcp 127.0.0.1 8083) $(here udp 127.0.0.1 8053) $(here tcp 127.0.0.1 8082)"
  equal "$kind: which answers at the host's addresses" "local local local" "$(here tcp 10.77.0.1 8080) $(here tcp 10.77.0.1 8083) $(here udp 10.77.0.1 8053)"
  equal "$kind: where what was published on 127.0.0.1 does not" "no no" "$(here tcp 10.77.0.1 8081) $(here udp 10.77.0.1 8054)"
  lawless
  equal "$kind: nobody else reaches it there, also with a route to it" "no no no no" \
    "$(for each in "tcp 127.0.0.1 8080" "tcp 127.0.0.1 8081" "tcp 127.0.0.2 8082" "udp 127.0.0.1 8054"; do outside_asks $each | cut -d' ' -f1; done | xargs)"
  holds "$kind: (the route is one)" "via 10.77.0.1" "$(out ip route get 127.0.0.1)"
  lawful
  end $child
done
no_interface "nothing is left of it"

# ---- a container is no router: its advertisements give nobody a route

cat > rootfs/advertise.py <<'P'
import socket, struct, time
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xc0, 1800, 1800, 0) + socket.inet_pton(socket.AF_INET6, "2001:db8:bad::")
def advertise(): s.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix, ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
# Not before duplicate address detection, of up to two seconds, has given it a link-local address.
for _ in range(200):
    try: advertise()
    except OSError: time.sleep(0.1)
    else: break
advertise()
print("advertised", flush=True)
time.sleep(2)
P
routers() { ip -6 route | grep -c 'proto ra'; ip -6 address | grep -c 2001:db8:bad; }
# Its advertisement is out when router.log says so; whoever heeds it does so at once.
advertising() {
  rm -f router.log; run router.lua -- /usr/bin/python3 /advertise.py > router.log 2>&1 & router=$!
  within 25 grep -qs advertised router.log || failed "a container advertises itself" "$(cat router.log)"
  sleep 0.5
}
forwarding=$(cat /proc/sys/net/ipv6/conf/all/forwarding); echo 0 > /proc/sys/net/ipv6/conf/all/forwarding  # a router heeds none anyway
for nat in true false; do
  box router "host = '172.16.94.1/24', guest = '172.16.94.2/24', nat = $nat" "capabilities = { add = { 'net_raw' } }"
  advertising
  equal "the host heeds no container's advertisement (nat = $nat)" "0 0" "$(routers | xargs)"
  wait $router
done
# Nor do its redirects lead the host elsewhere, where the host has a route by way of it: RFC 4861, 8.
cat > rootfs/redirect.py <<'P'
import os, socket, struct, time
six = lambda text: socket.inet_pton(socket.AF_INET6, text)
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
print("there", flush=True)
while not os.path.exists("/go"): time.sleep(0.05)
body = struct.pack("!BBHI", 137, 0, 0, 0) + six("fe80::666") + six("fd99::5") + b"\2\1\2\0\0\0\6\66"
for _ in range(200):
    try: s.bind(("fe80::ff:fe00:94", 0, 0, socket.if_nametoindex("eth0")))
    except OSError: time.sleep(0.1)
    else: break
s.sendto(body, ("fe80::1", 0, 0, socket.if_nametoindex("eth0")))
print("redirected", flush=True)
time.sleep(2)
P
rm -f rootfs/go
box router "host = { '172.16.94.1/24', 'fd94::1/64' }, guest = { '172.16.94.2/24', 'fd94::2/64' }, mac = '02:00:00:00:00:94'" "capabilities = { add = { 'net_raw', 'net_admin' } }"
run router.lua -- /usr/bin/python3 /redirect.py > router.log 2>&1 & router=$!
within 20 grep -qs there router.log || failed "the router is there" "$(cat router.log)"
ip -6 route add fd99::/64 via fe80::ff:fe00:94 dev "$(ip -o link | grep -oE 'lb[0-9a-f]{8}' | head -1)"
way() { ip -6 route get fd99::5 | grep -o 'via [^ ]*'; }
equal "(the host's way leads by the container)" "via fe80::ff:fe00:94" "$(way)"
touch rootfs/go; within 25 grep -qs redirected router.log || failed "a container redirects" "$(cat router.log)"
sleep 0.5; equal "the host heeds no container's redirect" "via fe80::ff:fe00:94" "$(way)"
wait $router
script "name = '$mark-neighbour'" "network = bridge { 'routed', subnet = '10.93.0.0/24' }" \
  "command = { 'sh', '-c', 'echo there; until [ -e /advertised ]; do sleep 0.1; done; ip -6 route | grep -c 2001:db8:bad' }"
mv box.lua neighbour.lua; run neighbour.lua > neighbour.log 2>&1 & neighbour=$!
within 20 grep -qs there neighbour.log || failed "the neighbour is there" "$(cat neighbour.log)"
script "name = '$mark-router'" "network = bridge { 'routed', subnet = '10.93.0.0/24' }" "$system" "capabilities = { add = { 'net_raw' } }" "command = { 'true' }"
mv box.lua router.lua
advertising
equal "nor does the host of a bridge" "0 0" "$(routers | xargs)"
touch rootfs/advertised; wait $neighbour; equal "nor a neighbour on it" "there 0" "$(xargs < neighbour.log)"
wait $router
echo "$forwarding" > /proc/sys/net/ipv6/conf/all/forwarding

# ---- the ends that no one plans

serving web.lua web 80
inside=$(pgrep -P $child | head -1)
kill -9 $child; wait $child 2>/dev/null
ended() { [ ! -e /proc/$inside ]; }
succeeds "the container of a killed luabox ends" within 5 ended
succeeds "gc tidies up" "$LUABOX" gc
rules > rules.after; succeeds "no rule is left of a killed luabox" cmp rules.before rules.after
no_interface "no interface is left of it"
serving web.lua web 80; kill -9 $child; wait $child 2>/dev/null
serving web.lua web 80
equal "a killed one is no obstacle to its successor, without gc" "web 10.77.0.2" "$(outside_asks tcp 10.77.0.1 8080)"
end $child

# ---- a network namespace that outlives its container, for a socket of it that another one was handed

"$python" server.py host 7779 > host.log & serving_host=$!; jobs+=($serving_host); within 20 grep -qs ready host.log
giver="host = '172.16.96.1/24', guest = '172.16.96.2/24', nat = true, egress = {}"
box giver "$giver"; sed -i "s|mounts = { |&bind { '$work/vol', '/vol' }, |" giver.lua
give() { run giver.lua -- "$python" /hand.py give /vol/socket; }
answered() { grep -q answer taker.log; }
holds "(its own rules let it not ask the host)" "no answer" "$(mkdir -p vol; ask giver.lua tcp 172.16.96.1 7779)"
taking socket 172.16.96.1 7779
succeeds "a socket is handed to another container" give
touch vol/socket.ask; within 10 answered
holds "and reaches nothing any more when its container has ended" "no answer" "$(sed 1d taker.log)"
serving web.lua web 80; web=$child
LUABOX_STATE=$work/other "$LUABOX" gc; unshare --mount sh -c 'mount -t tmpfs none "$LUABOX_STATE"; "$LUABOX" gc'
equal "gc of another state leaves both pairs, though its folder be called the same" 2 "$(ip -o link | grep -c ': lb')"
equal "gc says what it removes" "$(ip -o link show type veth | grep -v UP | grep -o 'lb[0-9a-f]\{8\}')" "$("$LUABOX" gc)"
equal "and leaves the pair of a container that runs" "web 10.77.0.2" "$(outside_asks tcp 10.77.0.1 8080)"
end $web; no_interface "no pair is left, with the socket still held"
kill $taker; wait $taker 2>/dev/null; taking socket 172.16.96.1 7779
succeeds "(a socket is handed over again)" give
begin=$SECONDS; equal "its address is free for the next start" "started" "$(run giver.lua -- echo started 2>&1)"
[ $((SECONDS - begin)) -lt $((3 * slow)) ] && ok "which does not wait for the other's end" || failed "which does not wait for the other's end" "$((SECONDS - begin)) s"
kill $taker; no_interface "(nothing is left of them)"
kill $serving_host; wait $serving_host 2>/dev/null

# What is not in a pid namespace of its own lives until its cgroup is ended, and its rules may have gone by then.
cat > rootfs/send.py <<'P'
import os, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(100):
    if os.fork() == 0: break
while True:
    try: s.sendto(b"?", ("172.16.96.1", 7779))
    except OSError: pass
    time.sleep(0.0005)
P
"$python" server.py host 7779 > host.log & serving_host=$!; jobs+=($serving_host); within 20 grep -qs ready host.log
box beyond "$giver" "namespaces = { pid = 'host' }"
run beyond.lua -- sh -c "$python /send.py & sleep 1"; sleep 0.2
equal "nothing passes the rules of a container that ends" "ready" "$(head -3 host.log | xargs)"
kill $serving_host; no_interface "(gone)"

box broken "host = '172.16.99.1/24', guest = '172.16.99.100/24', nat = true, publish = { '8080:80' }" "cwd = '/no/such'"
run broken.lua > output 2>&1; equal "a start that fails after the network was made is told" "125 1" "$? $(wc -l < output)"
rules > rules.after; succeeds "and leaves no rule" cmp rules.before rules.after
no_interface "and no interface"
leaves_nothing "nothing is left behind"
finish
