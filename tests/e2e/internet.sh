# Sourced after common.sh or rootless.sh by tests of the network: a little internet of their own. This network namespace plays the host, another the
# outside, with a cable up0 between them; and servers and clients in Python, where this host has it.
[ "$(id -u)" = 0 ] || { echo "skipped: needs root, to make a network"; exit 77; }
ip link set lo up

# The processes that a test started: ended with it.
jobs=()
end_jobs() { kill -9 "${jobs[@]}" 2>/dev/null; wait 2>/dev/null; }
trap 'if [ $BASHPID = $$ ]; then end_jobs; cd /; rm -rf --one-file-system "$work"; fi' EXIT

# make_outside NETWORK [NETWORK6]: "10.77.0" and "fd77:": the host is .1 and the outside, the way to everywhere, .2. Its first process is $outside.
make_outside() {
  unshare --net sleep $((600 * slow)) & outside=$!; jobs+=($outside)
  elsewhere() { [ "$(readlink /proc/$outside/ns/net)" != "$(readlink /proc/self/ns/net)" ]; }
  within 10 elsewhere || { failed "the outside is there"; finish; }
  ip link add up0 type veth peer name up0 netns $outside
  ip address add "$1.1/24" dev up0; ip link set up0 up; ip route add default via "$1.2"
  out ip address add "$1.2/24" dev up0; out ip link set up0 up; out ip link set lo up
  [ -n "${2:-}" ] || return 0
  ip address add "$2:1/64" dev up0 nodad; out ip address add "$2:2/64" dev up0 nodad
}
out() { timeout $((10 * slow)) nsenter --net=/proc/$outside/ns/net "$@"; }

interfaces() { ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/\1/' | sort | xargs; }

# ---- in Python: the system's, which is bound into containers too

python=/usr/bin/python3
system="bind { '/usr', '/usr', readonly = true }, bind { '/lib', '/lib', readonly = true }"
[ ! -d /lib64 ] || system+=", bind { '/lib64', '/lib64', readonly = true }"
system="mounts = { $system }"

# server.py NAME PORT... answers each TCP connection and each datagram with NAME and the address that it came from.
# ask.py tcp|udp ADDRESS PORT [SOURCE] prints what a server answers, or why there is no answer.
# hand.py give PATH hands a TCP socket to hand.py take PATH ADDRESS PORT in another container, which says what a server answers to it when there is a
# file PATH.ask, and has it to its end.
make_servers() {
  cat > server.py <<'P'
import select, socket, sys
sockets = []
for port in map(int, sys.argv[2:]):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        s = socket.socket(socket.AF_INET6, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind(("::", port))
        if kind == socket.SOCK_STREAM: s.listen(16)
        sockets.append(s)
def shown(peer): return f"{sys.argv[1]} {peer[0].removeprefix('::ffff:')}\n".encode()
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        if s.type == socket.SOCK_STREAM:
            c, peer = s.accept()
            try: c.sendall(shown(peer))
            except OSError: pass
            c.close()
        else:
            data, peer = s.recvfrom(100)
            print("datagram", peer[0].removeprefix("::ffff:"), flush=True)
            s.sendto(shown(peer), peer)
P
  cat > ask.py <<'P'
import socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
s = socket.socket(family, kind)
s.settimeout(1.5)
try:
    if len(sys.argv) > 4: s.bind((sys.argv[4], 0))
    s.connect((sys.argv[2], int(sys.argv[3])))
    if kind == socket.SOCK_DGRAM: s.send(b"?")
    print(s.recv(100).decode().strip() or "empty")
except OSError as problem:
    print("no answer:", problem)
P
  cat > hand.py <<'P'
import os, socket, sys, time
path, way = sys.argv[2], socket.socket(socket.AF_UNIX)
if sys.argv[1] == "give":
    while way.connect_ex(path): time.sleep(0.05)
    s = socket.socket()
    socket.send_fds(way, [b"?"], [s.fileno()])
    sys.exit(way.recv(1) != b"!")
way.bind(path); way.listen()
print("ready", flush=True)
peer = way.accept()[0]
s = socket.socket(fileno=socket.recv_fds(peer, 1, 1)[1][0])
peer.send(b"!")
while not os.path.exists(path + ".ask"): time.sleep(0.05)
s.settimeout(1.5)
try:
    s.connect((sys.argv[3], int(sys.argv[4])))
    print("answer:", s.recv(100).decode().strip(), flush=True)
except OSError as problem: print("no answer:", problem, flush=True)
time.sleep(1000)
P
  [ ! -d rootfs ] || cp server.py ask.py hand.py rootfs/
}

# taking PATH ADDRESS PORT: another container takes what is given at /vol/PATH; its process is $taker, what it says in taker.log.
taking() {
  mkdir -p vol; rm -rf vol/* taker.log
  script "name = '${mark}-taker'" "${system% \}}, bind { '$work/vol', '/vol' } }" "command = { '$python', '/hand.py', 'take', '/vol/$1', '$2', '$3' }"
  mv box.lua taker.lua
  "$LUABOX" run taker.lua < /dev/null > taker.log 2>&1 & taker=$!; jobs+=($taker)
  within 20 grep -qs ready taker.log || failed "(another container takes)" "$(cat taker.log)"
}

# serve_outside NAME PORT...: server.py in the outside; what it says is in outside.log.
serve_outside() {
  nsenter --net=/proc/$outside/ns/net "$python" server.py "$@" > outside.log & jobs+=($!)
  within 20 grep -qs ready outside.log || { failed "the outside's server runs" "$(cat outside.log)"; finish; }
}
