#!/bin/bash
# A container on a bridge that has every means of its own (net_raw, net_admin) speaks under a neighbour's address: by ARP, by neighbour discovery, under
# extension headers, in fragments, under VLAN tags. A neighbour that hears every frame, and the host's table of neighbours, tell what got through.
. "$(dirname "$0")/common.sh"
. "$here/internet.sh"
[ -x "$python" ] || { echo "skipped: no $python for the raw packets"; exit 77; }
make_rootfs rootfs
mark=e2e-spoof-$$

# Every lie and every truth has a number, in its last byte of a hardware address that nobody has.
cat > rootfs/lie.py <<'P'
import socket, struct, time
own_mac = bytes.fromhex(open("/sys/class/net/eth0/address").read().strip().replace(":", ""))
six = lambda text: socket.inet_pton(socket.AF_INET6, text)
OWN, VICTIM, ALL, NONE = six("fd00:9::66"), six("fd00:9::50"), six("ff02::1"), bytes(16)
OWN4, VICTIM4 = socket.inet_aton("10.9.9.102"), socket.inet_aton("10.9.9.80")
link_local = b"\xfe\x80" + bytes(6) + bytes([own_mac[0] ^ 2]) + own_mac[1:3] + b"\xff\xfe" + own_mac[3:]
number = lambda n: b"\x02\x66\x66\x66\x66" + bytes([n])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))

def checked(source, to, body):
    pseudo = source + to + struct.pack("!IHBB", len(body), 0, 0, 58) + body
    pseudo += b"\0" * (len(pseudo) % 2)
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return body[:2] + struct.pack("!H", ~total & 0xffff) + body[4:]
def advertisement(n, about, source, to=ALL): return checked(source, to, struct.pack("!BBHI", 136, 0, 0, 0x20000000) + about + b"\2\1" + number(n))
def solicitation(n, about, source): return checked(source, ALL, struct.pack("!BBHI", 135, 0, 0, 0) + about + (b"\x0e\1" + number(n)))
def ip6(body, source, after=58, to=ALL): return struct.pack("!IHBB", 0x60000000, len(body), after, 255) + source + to + body
def frame(kind, body, mac=own_mac, tags=b""): s.send((b"\xff" * 6 + mac + tags + struct.pack("!H", kind) + body).ljust(60, b"\0"))
def fragment(offset, more, after, body, identity): return struct.pack("!BBHI", after, 0, offset | more, identity) + body
def arp(n, address, mac=own_mac): return struct.pack("!HHBBH", 1, 0x800, 6, 4, 2) + mac + address + number(n) + address
options = lambda after, size=0: struct.pack("!BBBB", after, size, 1, 4 + 8 * size) + bytes(4 + 8 * size)

def truths():
    frame(0x86dd, ip6(advertisement(1, OWN, OWN), OWN))
    frame(0x86dd, ip6(options(58) + advertisement(2, OWN, OWN), OWN, 0))
    frame(0x806, arp(3, OWN4))
    frame(0x86dd, ip6(advertisement(4, link_local, link_local), link_local))
    frame(0x86dd, ip6(solicitation(5, OWN, NONE), NONE))
    udp = struct.pack("!HHHH", 9, 9, 22, 0) + number(6) + bytes(8)
    frame(0x86dd, ip6(fragment(0, 1, 17, udp[:16], 77), OWN, 44))
    frame(0x86dd, ip6(fragment(16, 0, 17, udp[16:] + number(7), 77), OWN, 44))

def lies():
    lie = lambda n: advertisement(n, VICTIM, OWN)
    frame(0x86dd, ip6(lie(101), OWN))
    frame(0x86dd, ip6(advertisement(102, VICTIM, VICTIM), VICTIM))
    frame(0x86dd, ip6(advertisement(103, VICTIM, link_local), link_local))
    frame(0x86dd, ip6(options(58) + lie(104), OWN, 0))                                # behind a hop-by-hop header
    frame(0x86dd, ip6(options(58) + lie(105), OWN, 60))                               # behind destination options
    frame(0x86dd, ip6(options(60) + options(43) + struct.pack("!BBBBI", 58, 0, 0, 0, 0) + lie(106), OWN, 0))
    frame(0x86dd, ip6(fragment(0, 0, 58, lie(107), 1), OWN, 44))                      # a fragment that is the whole
    whole = lie(108)
    frame(0x86dd, ip6(fragment(0, 1, 58, whole[:8], 2), OWN, 44))                     # whom it is about is in the second
    frame(0x86dd, ip6(fragment(8, 0, 58, whole[8:], 2), OWN, 44))
    whole = options(58, 1) + lie(109)
    frame(0x86dd, ip6(fragment(0, 1, 60, whole[:8], 3), OWN, 44))                     # what it is is in the second
    frame(0x86dd, ip6(fragment(8, 0, 60, whole[8:], 3), OWN, 44))
    frame(0x86dd, ip6(solicitation(110, VICTIM, NONE), NONE))                         # takes it from its owner, who looks whether it is free
    frame(0x86dd, ip6(options(58) + solicitation(111, VICTIM, NONE), NONE, 0))
    frame(0x86dd, ip6(struct.pack("!BBHI", 137, 0, 0, 0) + VICTIM + VICTIM + b"\2\1" + number(112), link_local))
    frame(0x86dd, ip6(options(58) + struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + b"\1\1" + number(113), link_local, 0))
    for n, mac in (114, own_mac), (115, number(115)): frame(0x806, arp(n, VICTIM4, mac), mac)
    n = 116
    for tag in 0x8100, 0x88a8:                                                        # under a tag of no network, of one, and under two
        for tags in struct.pack("!HH", tag, 0), struct.pack("!HH", tag, 5), struct.pack("!HHHH", tag, 0, 0x8100, 0):
            frame(0x806, arp(n, VICTIM4), own_mac, tags)
            frame(0x86dd, ip6(lie(n + 1), OWN), own_mac, tags)
            frame(0x806, arp(n + 2, OWN4, number(n + 2)), number(n + 2), tags)
            n += 3
    for kind, body in (0x806, arp(n, VICTIM4)), (0x86dd, ip6(lie(n + 1), OWN)):       # in an 802.3 frame
        snap = b"\xaa\xaa\3\0\0\0" + struct.pack("!H", kind) + body
        frame(len(snap), snap)
    frame(0x8035, arp(n + 2, VICTIM4))                                                # reverse ARP
    frame(0x86dd, ip6(lie(n + 3), OWN)[:4] + b"\xff\xff" + ip6(lie(n + 3), OWN)[6:])  # longer than it is, in its own words
    frame(0x800, b"\x60" + ip6(lie(n + 4), OWN)[1:])                                  # IPv6 that says it is IPv4
    print("lies", n + 5 - 101, flush=True)

for _ in range(2): truths(); lies(); time.sleep(0.3)
frame(0x86dd, ip6(advertisement(99, OWN, OWN), OWN))
time.sleep(1)
P
cat > rootfs/hear.py <<'P'
import re, socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.settimeout(60)
print("ready", flush=True)
heard = set()
while 99 not in heard:
    for found in re.finditer(rb"\x02\x66\x66\x66\x66(.)", s.recv(2000), re.S):
        if found[1][0] not in heard: print(found[1][0], flush=True)
        heard.add(found[1][0])
P
# box NAME ADDRESS COMMAND
box() {
  script "name = '$mark-$1'" "$system" "network = bridge { 'spoof', subnet = '10.9.9.0/24', subnet6 = 'fd00:9::/64', address = '$2' }" \
    "capabilities = { add = { 'net_raw', 'net_admin' } }" "command = { 'sh', '-c', '$3' }"
  mv box.lua "$1.lua"
}
box victim 10.9.9.80 'exec /usr/bin/python3 /hear.py'
box liar 10.9.9.102 'echo there; until [ -e /go ]; do sleep 0.1; done; exec /usr/bin/python3 /lie.py'
timeout 60 "$LUABOX" run victim.lua < /dev/null > heard 2>&1 & hearing=$!; jobs+=($hearing)
timeout 60 "$LUABOX" run liar.lua < /dev/null > liar.log 2>&1 & lying=$!; jobs+=($lying)
within 20 grep -qs ready heard && within 20 grep -qs there liar.log || failed "both are there" "$(cat heard liar.log)"
for about in 10.9.9.80 fd00:9::50; do ip neighbour replace $about lladdr 02:00:00:00:00:50 dev lbr-spoof nud stale; done
touch rootfs/go; wait $hearing
neighbour() { ip neighbour show "$1" dev lbr-spoof | grep -oE '([0-9a-f]{2}:){5}[0-9a-f]{2}'; }
numbers() { sed 1d heard | sort -n | awk "$1" | xargs; }
equal "what is true arrives: neighbour discovery, also behind a header, ARP, whether its own address is free, fragments" "1 2 3 4 5 6 7 99" "$(numbers '$1 < 100')"
equal "and no lie" "" "$(numbers '$1 > 100')"
equal "of all that were told" "lies 38" "$(sed 1d liar.log | sort -u)"
equal "the host's table of neighbours is as it was" "02:00:00:00:00:50 02:00:00:00:00:50" "$(neighbour 10.9.9.80) $(neighbour fd00:9::50)"
wait $lying
leaves_nothing "nothing is left behind"
finish
