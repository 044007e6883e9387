#!/bin/bash
# The walks of examples/network, in a little internet of its own: this network namespace plays the host, another the outside.
# Never in the network that it was started in: whether that is the host's can't be told where /proc/1/ns is closed.
[ -n "${OWN_NAMESPACES:-}" ] || OWN_NAMESPACES=yes exec unshare --net --mount --propagation private bash "$0" "$@"
unset OWN_NAMESPACES
. "$(dirname "$0")/common.sh"
. "$here/internet.sh"
make_rootfs rootfs
mark=net-$$-
make_outside 10.77.0 fd77:
# The outside's server answers with the address that it saw.
mkdir -p www/cgi-bin; cat > www/cgi-bin/me <<'S'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "outside saw $(echo "$REMOTE_ADDR" | sed 's/::ffff://; s/[][]//g')"
S
chmod 755 www/cgi-bin/me
nsenter --net=/proc/$outside/ns/net busybox httpd -f -p '[::]:80' -h www & jobs+=($!)
answers() { [ -n "$(out busybox wget -q -O - "$1" 2>/dev/null)" ]; }
within 5 answers http://10.77.0.2/cgi-bin/me
before=$(interfaces)
nft add table inet site; nft add chain inet site forward '{ type filter hook forward priority 10; policy accept; }'
rules=$(nft list ruleset)

walk() { local name=$1; shift; timeout $((60 * slow)) "$LUABOX" run "$top/examples/network/$name.lua" "$work/rootfs" "$@" 2>&1 < /dev/null; }
none_left() { [ "$(interfaces) $(nft list tables | xargs)" = "$before table inet site" ]; }

output=$(walk bridge http://10.77.0.2/cgi-bin/me)
equal "network/bridge: neighbours reach a server by its name" "one: hello from server two: hello from server" "$(head -2 <<< "$output" | xargs)"
equal "network/bridge: the outside sees the host's address" "outside saw 10.77.0.1" "$(tail -1 <<< "$output")"
succeeds "network/bridge: the bridge goes with its last container" within 3 none_left

walk published 4 > published.out & walking=$!
within 10 grep -q already published.out
equal "network/published: the outside reaches it" "hello from server" "$(out busybox wget -q -O - http://10.77.0.1:8080/)"
equal "network/published: the host reaches it by an address of its own" "hello from server" "$(timeout $((5 * slow)) busybox wget -q -O - http://10.77.0.1:8080/)"
equal "network/published: a port of 127.0.0.1 is not the outside's" "" "$(out timeout $((2 * slow)) busybox wget -q -O - http://10.77.0.1:8081/ 2>/dev/null)"
out ip route add 10.9.0.0/24 via 10.77.0.1
equal "network/published: what isn't published is out of reach, with a route too" "" "$(out timeout $((2 * slow)) busybox wget -q -O - http://10.9.0.2/ 2>/dev/null)"
wait $walking
equal "network/published: the host reaches it by 127.0.0.1, a neighbour by the bridge" "hello from server hello from server" "$(head -2 published.out | xargs)"
holds "network/published: a port is given once" "published.lua:10: the port 8080/tcp is published by the container walk-server already" "$(sed -n 3p published.out | sed "s|^|published.lua:10: |")"

output=$(walk ipv6 http://[fd77::2]/cgi-bin/me)
equal "network/ipv6: an address of each family, and names have both" "10.9.0.3/24 fd00:9::3/64 2" "$(head -3 <<< "$output" | xargs)"
equal "network/ipv6: a neighbour answers" "hello from server" "$(sed -n 4p <<< "$output")"
equal "network/ipv6: the outside sees the host's address" "outside saw fd77::1" "$(sed -n 5p <<< "$output")"

equal "network/isolated: a neighbour gets in, another bridge doesn't" "hello from server no way to the other bridge" "$(walk isolated | xargs)"
equal "network/names: they come and go with the containers" "nobody called second 10.9.0.3 second walk-second second.internal nobody called second" "$(walk names | xargs)"

# Between 8 and 12 of the 10 megabits; a busy machine gets three tries for the lower bound, and an emulated one a lower one.
least=$((slow > 1 ? 4 : 8))
measured() {
  local try rates
  for try in 1 2 3; do
    rates=$(walk bandwidth)
    awk '$2 > 12 { exit 1 } END { exit NR != 2 }' <<< "$rates" || break
    awk '$2 < '$least' { exit 1 }' <<< "$rates" && return
  done
  echo "$rates"; return 1
}
succeeds "network/bandwidth: both ways are limited, to the fifth" measured

# box NAME NETWORK-FIELDS COMMAND: NAME.lua
box() { script "name = '$mark$1'" "network = bridge { 'web', $2 }" "command = { 'sh', '-c', [[$3]] }"; mv box.lua "$1.lua"; }
N="subnet = '10.9.3.0/24', nat = true"
run() { timeout $((30 * slow)) "$LUABOX" run "$@" 2>&1 < /dev/null; }

# Ports by each family and protocol, from outside.
if [ -x $python ]; then
  make_servers
  script "name = '${mark}ports'" "$system" "command = { '$python', '/server.py', 'server', '80' }" \
    "network = bridge { 'web', $N, subnet6 = 'fd00:3::/64', publish = { '8080:80', '127.0.0.1:8080:80', '8053:80/udp', '[fd77::1]:8082:80' } }"
  mv box.lua ports.lua
  "$LUABOX" run ports.lua < /dev/null > ports.log 2>&1 & serving=$!; jobs+=($serving)
  within 8 grep -qs ready ports.log || failed "ports: the server runs" "$(cat ports.log)"
  equal "ports: by IPv4, and by 127.0.0.1 beside it" "server 10.77.0.2 server 10.9.3.1" "$(out $python ask.py tcp 10.77.0.1 8080) $($python ask.py tcp 127.0.0.1 8080)"
  equal "network/ipv6: a published port answers by IPv6" "server fd77::2" "$(out $python ask.py tcp fd77::1 8080)"
  equal "ports: of an address in brackets" "server fd77::2" "$(out $python ask.py tcp fd77::1 8082)"
  holds "ports: and of no other" "no answer" "$(out $python ask.py tcp 10.77.0.1 8082)"
  equal "network/published: by UDP, of both families" "server 10.77.0.2 server fd77::2" "$(out $python ask.py udp 10.77.0.1 8053) $(out $python ask.py udp fd77::1 8053)"
  out ip route add fd00:3::/64 via fd77::1
  holds "network/ipv6: what isn't published is out of reach, with a route too" "no answer" "$(out $python ask.py tcp fd00:3::2 80)"
  box clash "$N, publish = { '127.0.0.1:8080:81' }" true
  holds "ports: one address of a port that another has on all" "clash.lua:4: the port 127.0.0.1:8080/tcp is published by the container ${mark}ports already, as 8080/tcp" "$(run clash.lua)"
  box other "$N, publish = { '8080:80/udp' }" "echo fine"
  equal "ports: the same number of another protocol is free" fine "$(run other.lua)"
  kill -TERM $serving; wait $serving 2>/dev/null
  succeeds "ports: nothing is left" within 3 none_left
else
  skipped "network/published: by UDP, of both families" "no $python for the servers"
fi

# A neighbour that has every means of its own still can't speak under another's address; and egress, asked from inside.
if [ -x $python ]; then
  cat > rootfs/lie.py <<'P'
import socket, struct, sys, time
mac = bytes.fromhex(open("/sys/class/net/eth0/address").read().strip().replace(":", ""))
forged, address = bytes.fromhex("026666666666"), socket.inet_aton("10.9.3.50")
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
def ip(source):
    udp = struct.pack("!HHHH", 9, 9999, 9, 0) + b"x"
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton("10.9.3.1"))
    total = sum(struct.unpack("!10H", head)); total = (total & 0xffff) + (total >> 16)
    return b"\x08\x00" + head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + head[12:] + udp
arp = lambda hardware: b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 2) + hardware + address + b"\0" * 6 + socket.inet_aton("10.9.3.1")
for _ in range(3):
    for source, rest in (mac, arp(mac)), (forged, arp(forged)), (mac, ip("10.9.3.50")), (forged, ip(sys.argv[1])), (mac, ip(sys.argv[1])):
        s.send(b"\xff" * 6 + source + rest)
time.sleep(3)
P
  cat > heard.py <<'P'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 9999)); s.settimeout(15)
print("ready", flush=True)
while True: print(s.recvfrom(9)[1][0], flush=True)
P
  $python heard.py > heard.log & hearing=$!; jobs+=($hearing)
  within 10 grep -qs ready heard.log
  script "name = '${mark}liar'" "$system" "network = bridge { 'web', $N, address = '10.9.3.66' }" "capabilities = { add = { 'net_raw', 'net_admin' } }" \
    "command = { 'sh', '-c', 'echo there; until [ -e /go ]; do sleep 0.1; done; exec $python /lie.py 10.9.3.66' }"
  run box.lua > liar.log & lying=$!
  within 10 grep -qs there liar.log
  ip neighbour replace 10.9.3.50 lladdr 02:00:00:00:00:50 dev lbr-web nud stale
  touch rootfs/go; within 5 grep -qs 10.9.3.66 heard.log; sleep 0.3
  equal "bridge: ARP under a neighbour's address changes nothing" 02:00:00:00:00:50 "$(ip neighbour show 10.9.3.50 | grep -o '02:[0-9a-f:]*\|66:[0-9a-f:]*')"
  equal "bridge: its own three packets arrive, and none with another source" "ready 3 10.9.3.66" "$(sed 1d heard.log | sort | uniq -c | xargs echo ready)"
  wait $lying; kill $hearing
  box egress "$N, egress = { '10.77.0.2:80' }" "printf 'GET /cgi-bin/me HTTP/1.0\r\n\r\n' | nc -w 2 10.77.0.2 80 | grep saw; echo | nc -w 2 10.77.0.1 8099 > /dev/null 2>&1 && echo host || echo no"
  busybox httpd -f -p 10.77.0.1:8099 -h www & jobs+=($!); other=$!
  equal "network/egress: what is on the list is reached, the host's other services aren't" "outside saw 10.77.0.1 no" "$(run egress.lua 2>&1 | grep -v nc: | xargs)"
  sed -i "s/egress = { '10.77.0.2:80' }/egress = {}/" egress.lua
  equal "network/egress: an empty list is nothing" "no" "$(run egress.lua 2>&1 | grep -v nc: | xargs)"
  kill $other
  succeeds "egress: nothing is left" within 3 none_left
fi

# Twenty at once on one new bridge: each another address.
box many "$N" "ip -o -4 address show dev eth0 | awk '{ print \$4 }'; sleep $((slow > 1 ? 10 * slow : 1))"
for i in $(seq 20); do run --name "${mark}many$i" many.lua > many.$i & pids[i]=$!; done
for i in $(seq 20); do wait ${pids[i]}; done
equal "addresses: twenty that start at once have twenty" "20 20" "$(cat many.? many.?? | wc -l) $(cat many.? many.?? | sort -u | wc -l)"
succeeds "addresses: and nothing is left" within 3 none_left
box tiny "subnet = '10.9.4.0/30'" "sleep $((slow > 1 ? 10 * slow : 3))"
run tiny.lua & within 5 eval '[ -n "$(ip -o link show type veth | grep lb)" ]'
holds "addresses: a full subnet is told" "the subnet 10.9.4.0/30 has no address left" "$(run --name ${mark}second tiny.lua)"
holds "bridge: other settings are told" "the bridge 'web' is in use with subnet 10.9.4.0/30, not 10.9.3.0/24" "$(run many.lua)"
wait $!
box named "$N, address = '10.9.3.77'" "ip -o -4 address show dev eth0 | awk '{ print \$4 }'"
equal "addresses: one that was asked for" "10.9.3.77/24" "$(run named.lua)"

refuse() { # NAME WANTED FIELDS
  box bad "$3" true
  local output got; output=$(run bad.lua); got=$?
  [ $got = 125 ] || failed "$1" "status $got: $output"
  holds "$1" "bad.lua:4: $2" "$output"
  within 3 none_left || failed "$1: leaves nothing" "$(interfaces)"
}
refuse "refused: an address of the host" "bridge: 10.9.3.1 is no address for a container in 10.9.3.0/24; expected 10.9.3.2 to 10.9.3.254" "$N, address = '10.9.3.1'"
refuse "refused: an address of another subnet" "bridge: 10.8.0.5 is no address for a container in 10.9.3.0/24; expected 10.9.3.2 to 10.9.3.254" "$N, address = '10.8.0.5'"
refuse "refused: a subnet with host bits" "bridge.subnet: expected a network such as" "subnet = '10.9.3.1/24'"
refuse "refused: a subnet that the host has" "the subnet 10.77.0.0/16 is in use on this host, by 10.77.0.1/24 of the interface up0" "subnet = '10.77.0.0/16'"
refuse "refused: no subnet for a new bridge" "there is no bridge 'web' yet" "nat = true"
refuse "refused: a rate without sense" "bridge.bandwidth: expected bits per second" "$N, bandwidth = 'fast'"
refuse "refused: a destination that is none" "bridge.egress: expected a destination such as" "$N, egress = { 'example.org:443' }"
refuse "refused: a misspelt field" "bridge has no field 'subnett' (did you mean 'subnet'?)" "subnett = '10.9.3.0/24'"
refuse "refused: a port that leads to two" "bridge.publish: 0.0.0.0:80/tcp leads to port 2 and, as 80/tcp, to port 1" "$N, publish = { '80:1', '0.0.0.0:80:2' }"
refuse "refused: a port of no address" "bridge.publish[1].host_address: expected an address such as" "$N, publish = { '10.77.0.300:80:80' }"
refuse "refused: a port of IPv6 without one" "publish: the bridge has no IPv6 address for fd77::1" "$N, publish = { '[fd77::1]:80:80' }"
refuse "refused: a port of the host's own programs by IPv6" "bridge.publish: the kernel forwards nothing from ::1" "$N, publish = { '[::1]:80:80' }"
script "name = '${mark}free'" "network = bridge { 'web', $N, bandwidth = '1mbit' }" "capabilities = { add = { 'net_admin' } }" "command = { 'true' }"
holds "refused: a limit on who may lift it" "bandwidth can't be enforced on a container that has net_admin" "$(run box.lua)"

# Another state's bridge of that name is not ours to change, nor to take away.
box stay "$N" "sleep $((slow > 1 ? 10 * slow : 3))"
run stay.lua & staying=$!; within 5 eval 'ip link show lbr-web > /dev/null 2>&1 && ip link show master lbr-web | grep -q lb'
index=$(ip -o link show lbr-web | cut -d: -f1)
holds "another state: its bridge is told" "the interface lbr-web exists already" "$(LUABOX_STATE=$work/other run many.lua)"
equal "another state: and stays" "$index" "$(ip -o link show lbr-web | cut -d: -f1)"
wait $staying

# Nor what a killed luabox's bridge was called, if it is another's by now.
box killed "$N" "sleep 60"
LUABOX_STATE=$work/other "$LUABOX" run killed.lua < /dev/null > /dev/null 2>&1 & victim=$!; jobs+=($victim)
within 5 grep -qs ready "$work/other/.bridges/web/settings.json"; kill -9 $victim; wait $victim 2>/dev/null
ip link delete lbr-web; nft delete table inet luabox-.web
run stay.lua & staying=$!; within 5 eval 'ip link show master lbr-web 2>/dev/null | grep -q lb'
index=$(ip -o link show lbr-web | cut -d: -f1)
LUABOX_STATE=$work/other "$LUABOX" gc
equal "another state: gc leaves it" "$index luabox-.web" "$(ip -o link show lbr-web | cut -d: -f1) $(nft list tables | grep -o 'luabox-.web$')"
equal "another state: gc has done its work" "" "$(ls "$work/other/.bridges" 2>/dev/null)"
wait $staying

# A killed luabox's member: its address is free for its successor, and gc takes the bridge away.
box killed "$N, address = '10.9.3.9'" "sleep 60"
"$LUABOX" run killed.lua < /dev/null > /dev/null 2>&1 & victim=$!; jobs+=($victim)
within 5 grep -qs 10.9.3.9 "$LUABOX_STATE"/.bridges/web/members/*.json; kill -9 $victim; wait $victim 2>/dev/null
box heir "$N, address = '10.9.3.9'" "ip -o -4 address show dev eth0 | awk '{ print \$4 }'"
equal "killed: its address is free for another" "10.9.3.9/24" "$(run heir.lua)"
"$LUABOX" run killed.lua < /dev/null > /dev/null 2>&1 & victim=$!; jobs+=($victim)
within 5 grep -qs 10.9.3.9 "$LUABOX_STATE"/.bridges/web/members/*.json; kill -9 $victim; wait $victim 2>/dev/null
"$LUABOX" gc > /dev/null
succeeds "killed: gc takes the bridge away" within 3 none_left

# ---- an ordinary user can't have any of it, and is told before anything is made
as=rootless
chmod 755 "$work"; install -d -o 1000 user
for name in bandwidth bridge ipv6 isolated names published; do
  output=$(LUABOX_STATE=$work/user USER=walker setpriv --reuid 1000 --regid 1000 --clear-groups "$LUABOX" run "$top/examples/network/$name.lua" "$work/rootfs" 2>&1 < /dev/null)
  refused "network/$name: a bridge or a veth pair" "a bridge, NAT and published ports on them take root" "$output" "it takes root; an ordinary user has pasta"
  equal "network/$name: in one line, and nothing is left of it" "1 " "$(wc -l <<< "$output") $(find user -type f ! -name '.*')"
done

equal "the rules of others are as they were" "$rules" "$(nft list ruleset)"
mark+=$'\nwalk-server\nwalk-client\nwalk-one\nwalk-two\nwalk-three\nwalk-neighbour\nwalk-stranger\nwalk-first\nwalk-second'  # those of the walks
leaves_nothing "nothing is left behind"
finish
