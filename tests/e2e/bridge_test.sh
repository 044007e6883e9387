#!/bin/bash
# A bridge whose containers' luabox are killed: at any moment of their start, many at once; when its subnet is full of them; with other settings than
# the next container says. And whose containers' networks outlive them.
. "$(dirname "$0")/common.sh"
. "$here/internet.sh"
make_rootfs rootfs
mark=e2e-bridge-$$
before="$(interfaces) $(nft list ruleset)"
as_before() { [ "$(interfaces) $(nft list ruleset)" = "$before" ]; }
run() { timeout 30 "$LUABOX" run "$@" 2>&1 < /dev/null; }
# box NAME NETWORK-FIELDS COMMAND
box() { script "name = '$mark-$1'" "network = bridge { $2 }" "command = { 'sh', '-c', [[$3]] }"; mv box.lua "$1.lua"; }
kills() { kill -9 "$@" 2>/dev/null; wait "$@" 2>/dev/null; }

# ---- where a bridge can't be noted
box first "'first', subnet = '10.97.0.0/24'" true
mkdir small
for inodes in 3 4; do
  mount -t tmpfs -o nr_inodes=$inodes,mode=711 state small
  holds "no bridge is made where there is no room for what is known of it ($inodes)" "No space left" "$(LUABOX_STATE=$work/small run first.lua)"
  equal "nor is a record left ($inodes)" "" "$(find small -type f ! -name .lock ! -name .failure.json)"
  umount small
done

# ---- what killed ones had
two="'full', subnet = '10.91.0.0/29', nat = true"
box stay "$two" 'echo up; exec sleep 600'
killed=()
for n in 1 2 3 4 5 6; do
  "$LUABOX" run --name "$mark-$n" stay.lua < /dev/null > "stay$n.log" 2>&1 & killed+=($!); jobs+=($!)
done
up() { [ "$(cat stay?.log | wc -l)" = 6 ]; }
within 20 up || failed "six are there" "$(cat stay?.log)"
holds "a full subnet is told" "stay.lua:4: the subnet 10.91.0.0/29 has no address left: all 5 are in use" "$(cat stay?.log)"
box one "$two" "ip -o -4 address show dev eth0 | awk '{ print \$4 }'"
holds "also to the next" "one.lua:4: the subnet 10.91.0.0/29 has no address left" "$(run one.lua)"
sixth=$(grep -l 'no address left' stay?.log | tr -dc 0-9)
lone=$((sixth % 6 + 1)); held=("${killed[@]}"); unset "held[$((lone - 1))]"
kills "${held[@]}"
# A start looks at two names of the first 64 in any case: it shall find none of these.
decoys() { for n in $(seq 300); do echo "$LUABOX_STATE/.decoy$n"; done; }
touch $(decoys)
holds "when its containers were killed it has room, without gc" "10.91.0." "$(run one.lua)"
rm $(decoys)
holds "it says what the bridge is" "the bridge 'full' is in use with subnet 10.91.0.0/29, not 10.92.0.0/24" "$(box other "'full', subnet = '10.92.0.0/24'" true; run other.lua)"
kills "${killed[@]}"
equal "a bridge of killed containers alone is nobody's: another may say what it is" "10.92.0.2/24" \
  "$(box other "'full', subnet = '10.92.0.0/24'" "ip -o -4 address show dev eth0 | awk '{ print \$4 }'"; run other.lua)"
"$LUABOX" gc > /dev/null
succeeds "nothing is left of them" within 5 as_before

# ---- twelve at once, of which every second is killed somewhere on its way
mkdir rootfs/www; echo served > rootfs/www/index.html
cat > rootfs/member.sh <<'M'
httpd -p 80 -h /www; echo up
until [ -e /go ]; do sleep 0.1; done
for each in $(cat /all); do echo "$each $(timeout 5 wget -q -O - "http://$each/")"; done
echo "hosts $(grep -c "$1" /etc/hosts)"
until [ -e /end ]; do sleep 0.1; done
M
box member "'storm', subnet = '10.93.0.0/24', subnet6 = 'fd93::/64', nat = true, egress = { '10.77.0.0/16' }, publish = { { host_port = tonumber(arg[1]), guest_port = 80 } }" ''
sed -i "s|command = .*|command = { 'sh', '/member.sh', '$mark' },|" member.lua
storm() {
  local living=()
  storm_round && return
  kill -9 "${living[@]}"  # this is a shell below the test's own, which ends what it knows of
  return 1
}
storm_round() {
  local n doomed=() names=()
  rm -f rootfs/go rootfs/end rootfs/all member*.log
  for n in $(seq 12); do
    "$LUABOX" run --name "$mark-$n" member.lua "$((8000 + n))" < /dev/null > "member$n.log" 2>&1 &
    if [ $((n % 2)) = 0 ]; then doomed+=($!); else living+=($!); names+=("$mark-$n"); fi
  done
  for n in "${doomed[@]}"; do sleep 0.0$((RANDOM % 4))$((RANDOM % 10)); kill -9 "$n"; done
  wait "${doomed[@]}" 2>/dev/null
  all_up() { [ "$(cat member{1,3,5,7,9,11}.log | grep -c '^up$')" = 6 ]; }
  within 20 all_up || { cat member{1,3,5,7,9,11}.log; return 1; }
  # As if one had been killed while its file was written.
  local members=$LUABOX_STATE/.bridges/storm/members
  for n in 2 4 6 8 10 12; do [ ! -e "$members/$mark-$n.json" ] || touch "$members/$mark-$n.json.new77"; done
  "$LUABOX" gc > gc.log 2>&1 || { cat gc.log; return 1; }
  only_living() {
    left="$(ls "$members" | grep -c json) $(ls "$LUABOX_STATE" | grep -c .) $(nft list tables | grep -c "$mark")"
    left+=" $(ip -o link show master lbr-storm | grep -c .) $(ip -o link | grep -c ': lb[^r]') $(pgrep -fc "member.sh $mark")"
    [ "$left" = "6 6 12 6 6 6" ]
  }
  within 5 only_living || { echo "members, records, tables, ports, interfaces, processes: $left"; return 1; }
  printf '%s\n' "${names[@]}" > rootfs/all; touch rootfs/go
  told() { [ "$(cat member{1,3,5,7,9,11}.log | grep -c '^hosts')" = 6 ]; }
  within 20 told
  # In each hosts file the other five by both families and itself, and none that was killed.
  [ "$(cat member{1,3,5,7,9,11}.log | grep -c ' served$') $(cat member{1,3,5,7,9,11}.log | grep -c '^hosts 11$')" = "36 6" ] || { cat member{1,3,5,7,9,11}.log; return 1; }
  touch rootfs/end; wait "${living[@]}"
  within 5 as_before || { interfaces; nft list tables; return 1; }
}
for round in 1 2 3; do succeeds "round $round: gc leaves of the killed nothing, and of the living everything" storm; done
equal "no process is left" "" "$(pgrep -f "member.sh $mark")"

# ---- an address whose last container is not all gone: somebody is still in its network
heir="'heir', subnet = '10.95.0.0/24', address = '10.95.0.2'"
box stay "'heir', subnet = '10.95.0.0/24', address = '10.95.0.3'" 'echo up; exec sleep 600'
box first "$heir" "echo up; exec sleep 601.$$"
box second "$heir" 'httpd -p 80 -h /www; echo up; exec sleep 600'
box asks "'heir', subnet = '10.95.0.0/24'" 'timeout 5 wget -q -O - http://10.95.0.2/'
start() { run "$1.lua" > "$1.log" & started=$!; within 10 grep -qs up "$1.log" || failed "($1 is there)" "$(cat "$1.log")"; }
start stay; staying=$started
start first
within 10 eval "first=\$(pgrep -fx 'sleep 601.$$')"
nsenter --net --target "$first" sleep 602 & still=$!; jobs+=($still)
elsewhere() { [ "$(readlink /proc/$still/ns/net)" != "$(readlink /proc/self/ns/net)" ]; }
within 10 elsewhere
kill "$first"; wait $started
start second
nsenter --net --target $still timeout 5 busybox ping 10.95.0.3 > first-pings.log 2>&1 & pinging=$!; jobs+=($pinging)
within 5 grep -qs PING first-pings.log
equal "its successor's packets are not the predecessor's, who has the same addresses" "served served served" "$(for n in 1 2 3; do run asks.lua; done | xargs)"
wait $pinging
lacks "whom nobody answers" "bytes from" "$(cat first-pings.log)"
kill $still; pkill -f "^$LUABOX run (second|stay).lua"; wait $staying $started
succeeds "nothing is left of both" within 5 as_before

# ---- a container's own published ports: the packet comes back by the port of the bridge that it left by, where frames are shown to the firewall (br_netfilter)
if [ -x "$python" ]; then
  make_servers
  ip address add 10.77.0.1/32 dev lo; ip address add fd77::1/128 dev lo
  cat > rootfs/own.sh <<'S'
/usr/bin/python3 /server.py own 80 > /ready & server=$!
until [ -s /ready ]; do sleep 0.1; done
for each in "tcp 10.77.0.1" "udp 10.77.0.1" "tcp fd77::1" "udp fd77::1" "tcp 10.98.0.1"; do
  n=0; until /usr/bin/python3 /ask.py $each 8080 | grep own || [ $((n += 1)) = 2 ]; do sleep 0.3; done | cut -d' ' -f1
done
ip -6 address show dev eth0 | grep -c dadfailed
kill $server
S
  script "name = '$mark-own'" "$system" "network = bridge { 'own', subnet = '10.98.0.0/24', subnet6 = 'fd98::/64', nat = true, publish = { '8080:80', '8080:80/udp' } }" "command = { 'sh', '/own.sh' }"
  mv box.lua own.lua
  for shown in 0 1; do
    if ! { echo $shown > /proc/sys/net/bridge/bridge-nf-call-iptables && echo $shown > /proc/sys/net/bridge/bridge-nf-call-ip6tables; } 2> /dev/null; then
      [ $shown = 0 ] || { skipped "a container reaches its own published ports, with br_netfilter" "no br_netfilter here"; continue; }
    fi
    equal "a container reaches its own published ports, by TCP and UDP, IPv4 and IPv6, br_netfilter $shown" "own own own own own 0" "$(run own.lua | xargs)"
  done
  ip address del 10.77.0.1/32 dev lo; ip address del fd77::1/128 dev lo
fi

# ---- a subnet whose last user, a pair, has just ended
script "name = '$mark-pair'" "network = veth { host = '10.96.0.1/24', guest = '10.96.0.2/24' }" "command = { 'true' }"; mv box.lua pair.lua
box after "'after', subnet = '10.96.0.0/24'" 'echo ran'
equal "is free" "ran ran ran ran ran" "$(for n in 1 2 3 4 5; do run pair.lua; run after.lua; done | xargs)"

# ---- a port of it that stays, for a socket that another container was handed
if [ -x "$python" ]; then
  make_servers
  "$python" server.py host 7779 > host.log & serving_host=$!; jobs+=($serving_host); within 20 grep -qs ready host.log
  box stay "'heir', subnet = '10.95.0.0/24', address = '10.95.0.3'" 'echo up; exec sleep 600'
  script "name = '$mark-giver'" "${system% \}}, bind { '$work/vol', '/vol' } }" "network = bridge { 'heir', subnet = '10.95.0.0/24', egress = {} }" \
    "command = { '$python', '/hand.py', 'give', '/vol/socket' }"; mv box.lua giver.lua
  start stay; staying=$started
  taking socket 10.95.0.1 7779
  succeeds "a member's socket is handed to another container" run giver.lua
  touch vol/socket.ask; within 10 grep -q answer taker.log
  holds "and reaches nothing any more when its container has ended" "no answer" "$(sed 1d taker.log)"
  pkill -f "^$LUABOX run stay.lua"; wait $staying
  "$LUABOX" gc > gc.log
  succeeds "gc removes the port, with the socket still held" within 5 as_before
  kill $taker $serving_host; wait $taker 2>/dev/null
fi

# ---- a member that has a lease on its hosts file, which luabox rewrites with all others waiting
if "${CC:-cc}" -O1 -static -o rootfs/bin/lease "$here/../attacks/lease.c" 2> /dev/null; then
  leasing="'leased', subnet = '10.98.0.0/24'"
  box holds "$leasing" 'exec lease /etc/hosts r'
  box stay "$leasing" 'echo up; exec sleep 600'
  box third "$leasing" 'cat /etc/hosts'
  run holds.lua > holds.log & holding=$!; within 10 grep -qs leased holds.log || failed "(a lease on its hosts file)" "$(cat holds.log)"
  begin=$SECONDS; start stay; staying=$started
  holds "a lease on a member's hosts file keeps nobody from joining" "$mark-stay" "$(run third.lua)"
  pkill -f "^$LUABOX run (holds|stay).lua"; wait $holding $staying
  [ $((SECONDS - begin)) -lt $((15 * slow)) ] && ok "nor from leaving" || failed "nor from leaving" "$((SECONDS - begin)) s"
else
  skipped "a lease on a member's hosts file keeps nobody from joining" "no static C library"
fi

# ---- what goes to many, of one that may begin no connection but to its neighbours: with frames of the bridge shown to the firewall (br_netfilter) and without
if [ -x "$python" ]; then
  # many.py hear INTERFACE: what came in, as words, till the last. many.py say: twice.
  cat > rootfs/many.py <<'P'
import socket, struct, sys, time
TO = { "group": ("224.0.0.251", 5353), "broadcast": ("255.255.255.255", 5354), "subnet": ("10.94.0.255", 5355), "group6": ("ff02::fb", 5356), "neighbour": ("10.94.0.2", 5357), "last": ("224.0.0.251", 5358) }
def made(name):
    s = socket.socket(socket.AF_INET6 if name == "group6" else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    return s
if sys.argv[1] == "say":
    for _ in range(2):
        for name, (address, port) in TO.items(): made(name).sendto(name.encode(), (address, port) if name != "group6" else (address, port, 0, socket.if_nametoindex("eth0")))
        time.sleep(0.5)
else:
    index, heard, sockets = socket.if_nametoindex(sys.argv[2]), set(), []
    for name, (address, port) in TO.items():
        s = made(name)
        s.bind(("", port))
        if "group6" == name: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, address) + struct.pack("I", index))
        elif address.startswith("224"): s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4si", socket.inet_aton(address), bytes(4), index))
        s.settimeout(0.1)
        sockets.append(s)
    print("ready", flush=True)
    end = time.monotonic() + float(sys.argv[3])
    while time.monotonic() < end:
        for s in sockets:
            try: heard.add(s.recv(100).decode())
            except OSError: pass
    print(*sorted(heard), flush=True)
P
  many() { script "name = '$mark-$1'" "$system" "network = bridge { 'many', subnet = '10.94.0.0/24', subnet6 = 'fd94::/64', address = '10.94.0.$2', $3 }" "command = { '$python', '/many.py', $4 }"; mv box.lua "$1.lua"; }
  for shown in 0 1; do
    if ! { echo $shown > /proc/sys/net/bridge/bridge-nf-call-iptables && echo $shown > /proc/sys/net/bridge/bridge-nf-call-ip6tables; } 2> /dev/null; then
      [ $shown = 0 ] || skipped "egress: what goes to many reaches neighbours, with br_netfilter" "no br_netfilter here"
      [ $shown = 0 ] || continue
    fi
    many hears 2 "" "'hear', 'eth0', '$((4 * slow))'"; many says 3 "egress = {}" "'say'"
    run hears.lua > hears.log & hearing=$!
    within 10 grep -qs ready hears.log
    "$python" rootfs/many.py hear lbr-many $((3 * slow)) > host.log & host=$!
    within 10 grep -qs ready host.log || failed "(the host listens)" "$(cat host.log)"
    run says.lua
    wait $host $hearing
    equal "egress: what goes to many reaches neighbours, br_netfilter $shown" "broadcast group group6 last neighbour subnet" "$(sed 1d hears.log)"
    equal "egress: and not the host, br_netfilter $shown" "" "$(sed 1d host.log)"
  done
fi
leaves_nothing "nothing is left behind"
finish
