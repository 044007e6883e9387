# An ordinary user's network, through pasta: this network namespace plays the host, another the outside.
. "$(dirname "$0")/rootless.sh"
for program in pasta python3; do command -v $program > /dev/null || { echo "skipped: $program is not installed"; exit 77; }; done
. "$here/internet.sh"
clean_up() { end_jobs; cd /; umount /etc/passwd /etc/group /etc/subuid /etc/subgid /etc/resolv.conf /dev/net/tun 2>/dev/null; rm -rf --one-file-system "$work"; }
trap 'if [ $BASHPID = $$ ]; then clean_up; fi' EXIT
# Only root may open it on some hosts.
mknod -m 666 "$work/tun" c 10 200 && mount --bind "$work/tun" /dev/net/tun 2>/dev/null || { echo "skipped: this kernel has no /dev/net/tun"; exit 77; }

make_rootfs rootfs
tar -C rootfs -cf "$user_home/box.tar" .; chmod 644 "$user_home/box.tar"
as_user "$work/luabox" image import -q box.tar box 2>/dev/null
box "command = { 'true' }"
holds "rootless/pasta: a host without a default route gives loopback alone, and -v tells" "network: loopback alone, since this host has no default route" \
  "$(as_user "$work/luabox" run -v box.lua 2>&1)"

cat > server.py <<'P'
"""Answers on NAME's address and ports: TCP with the name and the address that it saw, and each question for a name with 198.51.100.2."""
import select, socket, sys
name, address, ports = sys.argv[1], sys.argv[2], list(map(int, sys.argv[3:]))
sockets = []
for port in ports:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if port == 53 else socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    if port != 53: s.listen(16)
    sockets.append(s)
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        if s.type == socket.SOCK_DGRAM:
            question, peer = s.recvfrom(512)
            end = question.index(b"\0", 12) + 5
            is_a = question[end - 4:end - 2] == b"\0\1"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\xc6\x33\x64\2" if is_a else b""
            s.sendto(question[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0" + question[12:end] + answer, peer)
        else:
            c, peer = s.accept()
            try: c.sendall(f"{name} saw {peer[0]}\n".encode())
            except OSError: pass
            c.close()
P
make_outside 198.51.100
nsenter --net=/proc/$outside/ns/net python3 server.py outside 198.51.100.2 7000 > outside.log & jobs+=($!)
python3 server.py host 127.0.0.1 7001 53 > host.log & jobs+=($!)
printf 'nameserver 127.0.0.1\nsearch example.org\n' > resolv.conf; mount --bind resolv.conf /etc/resolv.conf
within 10 grep -q ready outside.log; within 10 grep -q ready host.log
ask() { timeout $((15 * slow)) busybox nc -w 8 "$1" "$2" < /dev/null 2>&1; }

# ---- from inside
# Its input stays open: Debian 12's pasta loses the server's end of file when the container has said its own first, and nc would wait for ever.
equal "rootless/pasta: chosen by itself, the outside is reached, under the host's address" "outside saw 198.51.100.1" \
  "$(inside 'mkfifo /tmp/open; exec 3<>/tmp/open; nc -w 10 198.51.100.2 7000 <&3')"
holds "rootless/pasta: it is named by -v" "network: pasta --foreground" "$(as_user "$work/luabox" run -v box.lua 2>&1)"
holds "rootless/pasta: names are resolved, by a server on the host's own loopback too" "198.51.100.2" "$(inside 'nslookup outside.test')"
equal "rootless/pasta: resolv.conf keeps the host's search list" "search example.org" "$(inside 'grep search /etc/resolv.conf')"
equal "rootless/pasta: the host's loopback is out of reach" "" "$(inside 'for a in 198.51.100.2 198.51.100.1 127.0.0.1 169.254.1.1; do nc -w 1 $a 7001 < /dev/null; done' | grep saw)"
box "network = 'none'" "command = { 'true' }"
equal "rootless/pasta: network = \"none\" is loopback alone" "lo" "$(inside 'ls /sys/class/net')"

# ---- from outside
box "network = pasta { publish = { '8080:80', '127.0.0.1:8081:81' } }" "command = { 'sh', '-c', 'for p in 80 81 82; do (while :; do echo port \$p | nc -l -p \$p; done) & done; sleep 120' }"
as_user "$work/luabox" run --name served box.lua < /dev/null & running=$!; jobs+=($running)
answers() { [[ $(ask 127.0.0.1 8080) == "port 80" ]]; }
succeeds "rootless/publish: a published port answers on the host" within 20 answers
# Between two connections there is a moment without a server.
from_outside() { [[ $(out busybox nc -w 8 198.51.100.1 8080 < /dev/null 2>&1) == "port 80" ]]; }
succeeds "rootless/publish: and from outside" within 20 from_outside
on_one() { [[ $(ask 127.0.0.1 8081) == "port 81" ]]; }
succeeds "rootless/publish: on one address of the host's" within 20 on_one
lacks "rootless/publish: and not on the others" port "$(out busybox nc -w 1 198.51.100.1 8081 < /dev/null 2>&1)"
lacks "rootless/publish: what is bound inside but not published is not on the host" port "$(ask 127.0.0.1 82; ask 127.0.0.1 80)"
holds "rootless/publish: a port that a container has is told" "box.lua:3: the port 8080/tcp is published by the container served already, as 8080/tcp" "$(inside true)"
box "network = pasta { publish = { '7001:80' } }" "command = { 'true' }"
holds "rootless/publish: a port of the host's loopback that a program has is told" "box.lua:3: the port 7001/tcp is in use on this host, by another program at 127.0.0.1" \
  "$(inside true)"
equal "rootless/publish: in one line, with status 125" "1 125" "$(inside true | wc -l) $(inside true > /dev/null; echo $?)"
box "network = pasta { publish = { '127.0.0.1:5353:53/udp' } }" "command = { 'sh', '-c', 'echo up; exec sleep 60' }"
# One after the other, whatever the machine does: pasta itself would share a port of UDP with another.
for i in 1 2 3; do as_user "$work/luabox" run --name "udp$i" box.lua < /dev/null > "udp$i.log" 2>&1 & jobs+=($!); udp+=($!); done
told() { [ "$(cat udp?.log | wc -l)" = 3 ]; }
within 30 told
equal "rootless/publish: of three that start at once with a port of UDP one has it, the others are told whose it is" "1 2" \
  "$(grep -l '^up$' udp?.log | wc -l) $(grep -l 'the port 127.0.0.1:5353/udp is published by the container udp. already' udp?.log | wc -l)"
as_user "$work/luabox" kill "$(grep -l '^up$' udp?.log | sed 's/.log//')" > /dev/null 2>&1 || pkill -9 -u $user_id -f 'luabox run --name udp'
wait "${udp[@]}" 2> /dev/null
holds "rootless/egress: is refused at its line, with what would do it" "box.lua:3: pasta: egress can't be had" \
  "$(box "network = pasta { egress = { '198.51.100.2:7000' } }" "command = { 'true' }"; inside true)"
pastas() { pgrep -u $user_id pasta; }
{ pkill -9 -u $user_id -f 'luabox run --name served'; wait $running; } 2> /dev/null
as_user "$work/luabox" gc > /dev/null
equal "rootless/pasta: gc ends that of a killed luabox" "" "$(pastas)"
equal "rootless/pasta: and its record" ".lock" "$(ls -A "$work/run/luabox" | grep -vE '^\.(failure\.json|pasta)$')"
inside true > /dev/null
equal "rootless/pasta: it ends with its container" "" "$(pastas)"

# ---- what is missing
chmod 600 "$work/tun"
box "network = pasta {}" "command = { 'true' }"
holds "rootless/pasta: what is asked for and can't be had is refused at its line" "box.lua:3: network = pasta: /dev/net/tun" "$(inside true)"
box "command = { 'echo', 'started' }"
equal "rootless/pasta: what is not asked for is left out" started "$(as_user "$work/luabox" run box.lua 2>&1 < /dev/null)"
holds "rootless/pasta: root is told of veth" "as root say veth" "$(printf 'return container { rootfs = "%s", network = pasta {}, command = { "true" } }' "$work/rootfs" | "$LUABOX" run - 2>&1)"
finish
