#!/bin/bash
# Published ports: one that is somebody's is refused, whoever has it: a program of the host's, a container on a veth pair or on a bridge, one that starts
# at the same moment. What a killed luabox had is free.
. "$(dirname "$0")/common.sh"
. "$here/internet.sh"
make_rootfs rootfs
mark=e2e-ports-$$
[ -x "$python" ] || { echo "skipped: no $python for the servers"; exit 77; }
ip link add up0 type veth peer name up1; ip link set up1 up; ip address add 10.77.0.1/24 dev up0; ip address add fd77::1/64 dev up0 nodad; ip link set up0 up
before=$(nft -s list ruleset)

cat > listen.py <<'P'
"""listen.py tcp|udp ADDRESS PORT [both]: has the port, as a server does that may be started anew at once; `both`: :: for IPv4 too."""
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET, socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if ":" in sys.argv[2]: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, len(sys.argv) == 4)
try:
    s.bind((sys.argv[2], int(sys.argv[3])))
    if sys.argv[1] == "tcp": s.listen(4)
except OSError as problem: sys.exit(f"no: {problem.strerror}")
print("ready", flush=True)
time.sleep(600)
P
# listens PROTOCOL ADDRESS PORT: a program of the host's, $listening
listens() { rm -f listen.log; "$python" listen.py "$@" > listen.log 2>&1 & listening=$!; jobs+=($!); within 10 grep -qs . listen.log; }
ends() { kill -9 $1; wait $1 2>/dev/null; }
run() { timeout 30 "$LUABOX" run "$@" < /dev/null 2>&1; }
V4="host = '172.16.90.1/24', guest = '172.16.90.2/24', nat = true"
V6="host = { '172.16.91.1/24', 'fd91::1/64' }, guest = { '172.16.91.2/24', 'fd91::2/64' }, nat = true"
BR="'ports', subnet = '10.90.0.0/24', subnet6 = 'fd90::/64', nat = true"
# box NAME NETWORK PORT...: NAME.lua, a container that says "up" and stays
box() {
  local name=$1 network=$2 list; shift 2
  list=$(printf "'%s', " "$@")
  script "name = '$mark-$name'" "network = ${network% \}}, publish = { $list } }" "command = { 'sh', '-c', 'echo up; exec sleep 600' }"; mv box.lua "$name.lua"
}
# runs NAME: it runs; its luabox is $running
runs() { rm -f "$1.log"; "$LUABOX" run "$1.lua" < /dev/null > "$1.log" 2>&1 & running=$!; jobs+=($!); within 20 grep -qs . "$1.log"; grep -q '^up$' "$1.log" || failed "$1 runs" "$(cat "$1.log")"; }
stops() { kill -TERM $1; wait $1 2>/dev/null; }
# refused_by NAME WANTED: NAME.lua isn't started, in one line that holds WANTED, with status 125
refused_by() {
  local output got; output=$(run "$2.lua"); got=$?
  holds "$1" "$2.lua:4: the port $3" "$output"
  equal "$1: one line, status 125" "1 125" "$(wc -l <<< "$output") $got"
}

# ---- a program of the host's
listens tcp 0.0.0.0 8080
box veth "veth { $V4 }" 8080:80
refused_by "host: all addresses, a veth" veth "8080/tcp is in use on this host, by python3 (process $listening) at 0.0.0.0"
box bridge "bridge { $BR }" 8080:80
refused_by "host: all addresses, a bridge" bridge "8080/tcp is in use on this host, by python3 (process $listening) at 0.0.0.0"
box one "veth { $V4 }" 10.77.0.1:8080:80
refused_by "host: all addresses, one is asked for" one "10.77.0.1:8080/tcp is in use on this host, by python3 (process $listening)"
box udp "veth { $V4 }" 8080:80/udp
runs udp; ok "host: another protocol is free"; stops $running
ends $listening; listens tcp 127.0.0.1 8080
refused_by "host: 127.0.0.1, all are asked for" veth "8080/tcp is in use on this host, by python3 (process $listening) at 127.0.0.1"
runs one; ok "host: another address is free"; stops $running
ends $listening; listens udp 10.77.0.1 8080
refused_by "host: UDP" udp "8080/udp is in use on this host, by python3 (process $listening) at 10.77.0.1"
ends $listening; listens tcp fd77::1 8080
runs veth; ok "host: an IPv6 address is none of a container with IPv4 alone"; stops $running
refused_by "host: IPv6, a bridge of both families" bridge "8080/tcp is in use on this host, by python3 (process $listening) at fd77::1"
box six "veth { $V6 }" '[fd77::1]:8080:80'
refused_by "host: IPv6, the very address" six "fd77::1:8080/tcp is in use on this host, by python3 (process $listening)"
ends $listening; listens tcp :: 8080 both
refused_by "host: :: that takes IPv4 too" veth "8080/tcp is in use on this host, by python3 (process $listening) at ::"
ends $listening

# ---- another container
runs veth; first=$running
refused_by "veth, then a bridge" bridge "8080/tcp is published by the container $mark-veth already, as 8080/tcp"
box other "veth { host = '172.16.92.1/24', guest = '172.16.92.2/24' }" 127.0.0.1:8080:81
refused_by "veth, then a veth with one address of it" other "127.0.0.1:8080/tcp is published by the container $mark-veth already, as 8080/tcp"
holds "veth, then a program of the host's" "no: Address already in use" "$(listens tcp 127.0.0.1 8080; cat listen.log)"
holds "another state's container is a program" "veth2.lua:4: the port 8080/tcp is in use on this host, by luabox (process $first)" \
  "$(sed 's/172.16.90/172.16.93/g; s/-veth/-veth2/' veth.lua > veth2.lua; LUABOX_STATE=$work/second run veth2.lua)"
stops $first
runs bridge; first=$running
refused_by "a bridge, then a veth" veth "8080/tcp is published by the container $mark-bridge already, as 8080/tcp"
refused_by "a bridge, then IPv6 on a veth" six "fd77::1:8080/tcp is published by the container $mark-bridge already, as 8080/tcp"
stops $first
box both "veth { $V6 }" 8080:80 127.0.0.1:8080:80 0.0.0.0:8080:80
runs both; ok "what one container says twice is one port"
equal "and leads there by both families" 1 "$(nft list table inet luabox-$mark-both | grep -c 'nfproto ipv6 tcp dport 8080 .*dnat')"
stops $running
box two "veth { $V4 }" 8080:80 127.0.0.1:8080:81
holds "one that leads to two is refused" "two.lua:4: veth.publish: 127.0.0.1:8080/tcp leads to port 81 and, as 8080/tcp, to port 80" "$(run two.lua)"

# ---- an address that the host doesn't have
for protocol in tcp udp; do
  box foreign "veth { $V6 }" "203.0.113.1:8080:80/$protocol"
  equal "an address of another host is refused ($protocol)" "foreign.lua:4: hold port 203.0.113.1:8080/$protocol: Cannot assign requested address (no interface of this host has that address)" \
    "$(run foreign.lua | sed 's/^luabox: //')"
done
box foreign "bridge { $BR }" "[2001:db8::1]:8080:80"
holds "IPv6 and a bridge likewise" "foreign.lua:4: hold port [2001:db8::1]:8080/tcp: Cannot assign requested address" "$(run foreign.lua)"

# ---- what is nobody's
cat > linger.py <<'P'
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 8080)); s.listen(4)
c = socket.create_connection(("127.0.0.1", 8080)); a = s.accept()[0]; a.close(); c.close()
P
"$python" linger.py; holds "a server that has ended lingers" TIME-WAIT "$(ss -tan 'sport = :8080')"
runs veth; ok "and is no obstacle"
equal "127.0.0.1, where nothing was published, refuses a connection, as without a container" "Connection refused" "$("$python" -c '
import socket
try: socket.create_connection(("127.0.0.1", 8080), 3)
except OSError as problem: print(problem.strerror or problem)')"
ends $running
box heir "veth { host = '172.16.94.1/24', guest = '172.16.94.2/24', nat = true }" 8080:80
sed -i "s/'echo up; exec sleep 600'/'echo up; while :; do echo heir | nc -l -p 80; done'/" heir.lua
# In a state of its own: nothing collects what the killed one left, and its rules are still there.
LUABOX_STATE=$work/second runs heir
equal "that of a killed luabox is free at once, and leads to its new container" heir "$(timeout 5 busybox nc -w 3 10.77.0.1 8080 < /dev/null)"
stops $running
"$LUABOX" gc > /dev/null

# ---- two that start at once: one wins, each time
races() {
  local n winners=0 protocol
  for n in 1 2 3 4 5 6; do
    protocol=$([ $((n % 2)) = 0 ] && echo tcp || echo udp)
    box left "veth { $V4 }" "8080:80/$protocol"; box right "bridge { $BR }" "127.0.0.1:8080:80/$protocol"
    : > left.log; : > right.log
    "$LUABOX" run left.lua < /dev/null > left.log 2>&1 & local left=$!; "$LUABOX" run right.lua < /dev/null > right.log 2>&1 & local right=$!
    jobs+=($left $right)
    within 20 eval '[ -s left.log ] && [ -s right.log ]' || { cat left.log right.log; return 1; }
    [ "$(cat left.log right.log | grep -c '^up$') $(cat left.log right.log | grep -c "8080/$protocol is published by the container $mark-.* already")" = "1 1" ] ||
      { cat left.log right.log; return 1; }
    winners=$((winners + 1)); stops $left; stops $right
  done
  [ $winners = 6 ]
}
succeeds "of two that start at once one has it, and the other is told of it" races

listens tcp 0.0.0.0 8080; equal "afterwards the host's programs can have it" ready "$(cat listen.log)"; ends $listening
as_before() { [ "$(nft -s list ruleset)" = "$before" ]; }
succeeds "no rule is left" within 5 as_before
leaves_nothing "nothing is left behind"
finish
