#!/bin/bash
# The walk-through "Containers without docker", run as it stands: examples/golang.lua on a real golang root file system.
. "$(dirname "$0")/common.sh"
tar=${LUABOX_GOLANG_TAR:-${LUABOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/luabox}/golang.tar}
[ -s "$tar" ] || { echo "skipped: no golang root file system (tools/demo makes it)"; exit 77; }
. "$here/internet.sh"

holds "an import tells what it made" "golang: " "$(timeout -s KILL 300 "$LUABOX" image import "$tar" golang 2>&1)"
cp -r "$top/examples" example; cd example || exit 1
mkdir -p volume; echo "read me" > volume/text
cat > volume/hello.go <<'G'
package main

import (
	"fmt"
	"os"
)

func main() {
	name, _ := os.Hostname()
	fmt.Println("hello from", name, os.Getpid() < 100)
}
G
cat > volume/eat.go <<'G'
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	random, err := os.Open("/dev/urandom")
	if err != nil {
		panic(err)
	}
	var kept [][]byte
	for held := 10; held <= 500; held += 10 {
		block := make([]byte, 10*1000*1000)
		if _, err := io.ReadFull(random, block); err != nil {
			panic(err)
		}
		kept = append(kept, block)
		fmt.Println("held", held)
	}
	fmt.Println("never killed", len(kept))
}
G
golang() { timeout -s KILL 200 "$LUABOX" run "${@:2}" golang.lua -- /bin/bash -c "$1" < /dev/null; }
image_state() { find "$LUABOX_IMAGES/golang" -printf '%P %y %m %U:%G %s %T@ %l\n' | sort | sha256sum; }
before=$(image_state)

# Compiling needs more than the walk-through's 100 MB: the programs are built beside it, and run within it.
sed 's/^  cgroup = .*$/  cgroup = { memory = "1GB" },/; s/readonly = true/readonly = false/' golang.lua > build.lua
grep -q 1GB build.lua || failed "(the example has its memory limit on one line)"
timeout -s KILL 300 "$LUABOX" run build.lua -- /bin/bash -c 'cd /var/readonlyfiles && go build -o hello hello.go && go build -o eat eat.go' < /dev/null > built 2>&1 \
  || failed "Go programs are compiled in the container" "$(cat built)"
equal "a compiled Go program runs, with the container's name and pids" "hello from golang true" "$(golang /var/readonlyfiles/hello)"
golang 'exit 7'; equal "the exit status is the command's" 7 $?
holds "as root, on its own host name" "uid=0(root)" "$(golang id)"

# ---- memory

free_before=$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)
golang /var/readonlyfiles/eat > eaten 2> why; status_of_eater=$?
held=$(sed -n 's/^held //p' eaten | tail -1)
equal "what reads /dev/urandom 10 MB at a time is killed: 137" 137 "$status_of_eater"
if [ "${held:-0}" -gt 0 ] && [ "$held" -lt 110 ]; then ok "before it holds 110 MB (it held $held)"; else failed "before it holds 110 MB" "it held ${held:-nothing}"; fi
holds "luabox says that it was the limit" "killed: memory limit 100 MB reached" "$(cat why)"
free_after=$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)
if [ $((free_before - free_after)) -lt 200000 ]; then ok "the host has its memory back"; else failed "the host has its memory back" "$free_before kB, then $free_after"; fi
golang 'kill -9 $$' 2> why; equal "another 137 is not said to be the limit" "" "$(cat why)"

# ---- devices

holds "CAP_MKNOD makes a random device that works" "16" "$(golang 'mknod /tmp/random c 1 9; mount 2>/dev/null | grep -q "/tmp tmpfs.*nodev"; mknod /root/random c 1 9 && head -c 16 /root/random | wc -c' 2>&1)"
disk=$(lsblk -dno MAJ:MIN 2>/dev/null | grep -v '^7:' | head -1 | tr -d ' ')
if [ -n "$disk" ]; then
  holds "but none that opens a disk of the host's" "Operation not permitted" "$(golang "mknod /root/disk b ${disk/:/ } && head -c 1 /root/disk" 2>&1)"
fi
holds "nor the kernel's memory" "Operation not permitted" "$(golang 'mknod /root/mem c 1 1 && head -c 1 /root/mem' 2>&1)"
equal "/dev/urandom is there" 16 "$(golang 'head -c 16 /dev/urandom | wc -c')"

# ---- mounts

holds "the volume is read" "read me" "$(golang 'cat /var/readonlyfiles/text')"
holds "and not written" "Read-only file system" "$(golang 'touch /var/readonlyfiles/new' 2>&1)"
equal "/tmp is a tmpfs of a GiB" "tmpfs 1048576" "$(golang "df -k --output=fstype,size /tmp | tail -1" | xargs)"
holds "eth0 has its address" "172.16.99.100" "$(golang 'cat /proc/net/fib_trie')"

# ---- the network: an outside with a server

if [ -x "$python" ]; then
  make_outside 10.77.0
  make_servers
  serve_outside seen 80
  equal "the outside is reached, under the host's address" "seen 10.77.0.1" "$(golang 'exec 3<>/dev/tcp/10.77.0.2/80; cat <&3' 2>&1)"
fi

# ---- the image

golang 'echo changed > /etc/motd; rm -f /etc/debian_version; mkdir /new; chmod 700 /usr' 
equal "a container leaves the image as it was" "$before" "$(image_state)"
equal "and the next one doesn't see what it did" "" "$(golang 'ls -d /new 2>/dev/null')"
sed 's|image "golang"|image { "golang", persist = "./kept" }|' golang.lua > kept.lua
timeout -s KILL 60 "$LUABOX" run kept.lua -- sh -c 'echo stays > /etc/motd; rm /etc/debian_version' < /dev/null
equal "persist keeps changes, also what was removed" "stays gone" \
  "$(timeout -s KILL 60 "$LUABOX" run kept.lua -- sh -c 'cat /etc/motd; test -e /etc/debian_version || echo gone' < /dev/null | xargs)"
equal "in its own folder, not in the image" "$before stays" "$(image_state) $(cat kept/upper/etc/motd)"
holds "an image in use is not removed" "in use" "$("$LUABOX" run golang.lua -- sleep 3 < /dev/null & sleep 1; "$LUABOX" image rm golang 2>&1; wait)"
succeeds "image rm" "$LUABOX" image rm golang
equal "image ls has none" "" "$("$LUABOX" image ls | grep golang)"
holds "an import from standard input" "golang: " "$(timeout -s KILL 300 "$LUABOX" image import - golang < "$tar" 2>/dev/null)"
equal "which runs as well" "hello from golang true" "$(golang /var/readonlyfiles/hello)"
leaves_nothing "nothing is left behind"
finish
