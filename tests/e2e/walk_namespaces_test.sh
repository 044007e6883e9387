#!/bin/bash
# The walks of examples/namespaces, as root and as an ordinary user; the effect is looked up outside where there is an outside to it.
. "$(dirname "$0")/common.sh"
alone
chmod 755 "$work"

walk() { local name=$1; shift; timeout $((30 * slow)) "${runner[@]}" "$LUABOX" run "$top/examples/namespaces/$name.lua" "$@" 2>&1; }
# as_user: what follows runs as an ordinary user, 1000 where this is root, whose state lies in a folder of his own.
as_user() {
  as=rootless
  [ "$(id -u)" = 0 ] || return
  runner=(env USER=walker setpriv --reuid 1000 --regid 1000 --clear-groups)
  install -d -o 1000 "$work/user"
  export LUABOX_STATE=$work/user/state
}
allowed() { "${runner[@]}" unshare --user true 2>/dev/null; }

folders() { find /tmp -maxdepth 1 -name "$1" | sort; }

uts() {
  local before
  before="$(uname -n) $(cat /proc/sys/kernel/domainname)"
  equal "namespaces/uts: $1another host name and domain name inside, the old ones outside" "inside: container example.org;outside: $before;" "$(walk uts | tr '\n' ';')"
  equal "namespaces/uts: $1the host's are what they were" "$before" "$(uname -n) $(cat /proc/sys/kernel/domainname)"
}

ipc() {
  local seen before
  before=$(ipcs -q | grep -c ^0x)
  seen=$(walk ipc)
  holds "namespaces/ipc: $1a message queue that was made outside is there" "outside: $((before + 1)) queues" "$seen"
  holds "namespaces/ipc: $1and invisible inside" "inside: 0 queues" "$seen"
  holds "namespaces/ipc: $1two containers that share the namespace pass a message" "second: got a message" "$seen"
  holds "namespaces/ipc: $1and POSIX shared memory, where they share its mount" $'second: read a greeting\nfirst: read thanks' "$seen"
  holds "namespaces/ipc: $1of which one outside sees nothing" "third: no greeting" "$seen"
  equal "namespaces/ipc: $1no queue and no memory is left on the host" "$before 0" "$(ipcs -q | grep -c ^0x) $(find /dev/shm -name greeting | wc -l)"
}

pid() {
  local seen host
  host=$(ps -e -o pid= | wc -l)
  seen=$(walk pid)
  holds "namespaces/pid: $1its number is 1" "new proc: I am 1," "$seen"
  [[ $seen =~ old\ proc:\ I\ am\ 1,\ ps\ sees\ ([0-9]+) ]]
  if [ "${BASH_REMATCH[1]:-0}" -gt 5 ] && [ "${BASH_REMATCH[1]}" -gt $((host / 2)) ]; then ok "namespaces/pid: $1ps still sees the host's processes, until /proc is mounted anew"
  else failed "namespaces/pid: $1ps still sees the host's processes, until /proc is mounted anew" "$host: $seen"; fi
  [[ $seen =~ new\ proc:\ I\ am\ 1,\ ps\ sees\ ([0-9]+)\ processes,\ 1\ is\ sh ]]
  if [ "${BASH_REMATCH[1]:-99}" -le 5 ]; then ok "namespaces/pid: $1then only its own"; else failed "namespaces/pid: $1then only its own" "$seen"; fi
  holds "namespaces/pid: $1the death of 1 ends all of them" $'while 1 lives: 3\nafter its death: 0' "$seen"
  equal "namespaces/pid: $1none is left on the host" "" "$(pgrep -f '^sleep 86399\.')"
}

mount_() {
  local seen folder=$work/mytmp.${1// /-}
  mkdir "$folder"
  [ "$(id -u)" != 0 ] || chown 1000 "$folder"
  seen=$(walk mount "$folder")
  holds "namespaces/mount: $1a tmpfs is mounted inside" "inside: secret, 1 mounts on it" "$seen"
  holds "namespaces/mount: $1which the host doesn't see" "outside: from-inside, 0 mounts on it" "$seen"
  equal "namespaces/mount: $1a mount namespace is no jail: a file that was written inside is on the host" from-inside "$(ls "$folder")"
  equal "namespaces/mount: $1and the root is the host's" "$(stat -c 'the root is %d:%i' /)" "$(sed -n 's/^inside: \(the root\)/\1/p' <<< "$seen")"
  equal "namespaces/mount: $1a folder of its own goes with it" "$(folders 'mytmp-*')" "$(walk mount > /dev/null; folders 'mytmp-*')"
}

net() {
  local seen inside
  [ "$(id -u)" != 0 ] || ip link set lo up
  seen=$(walk net)
  inside=$(grep '^inside' <<< "$seen" | tr '\n' ';')
  equal "namespaces/net: $1only a loopback, that is down until it is set up" "inside: lo is down;inside: lo is up;" "$inside"
  holds "namespaces/net: $1nothing can be reached before" "Network is unreachable" "$seen"
  holds "namespaces/net: $1127.0.0.1 answers then" "Connection refused" "$seen"
  holds "namespaces/net: $1the host's interfaces are what they were" "outside: lo is up" "$seen"
}

user() {
  local seen
  seen=$(walk user)
  holds "namespaces/user: $165534 before the maps are written, without capabilities" "no maps: uid 65534 gid 65534, capabilities 0000000000000000" "$seen"
  holds "namespaces/user: $10 after, still without them: the exec was too early" "maps too late: uid 0 gid 0, capabilities 0000000000000000" "$seen"
  if [[ $seen =~ one\ id:\ uid\ 0\ gid\ 0,\ capabilities\ 0*[1-9a-f] ]]; then ok "namespaces/user: $10 with all capabilities, where the maps came before the exec"
  else failed "namespaces/user: $10 with all capabilities, where the maps came before the exec" "$seen"; fi
  holds "namespaces/user: $1setgroups is denied with the map of one id" "setgroups failed: Operation not permitted" "$seen"
}

time_() {
  local seen up
  seen=$(walk time)
  [[ $seen =~ outside:\ up\ ([0-9]+)\ s\ at\ ([0-9]+).*inside:\ up\ ([0-9]+)\ s\ at\ ([0-9]+) ]]
  up=$((BASH_REMATCH[3] - BASH_REMATCH[1]))
  if [ $up -ge 864000 ] && [ $up -lt 864060 ]; then ok "namespaces/time: $1the machine is up for ten days more inside"; else failed "namespaces/time: $1the machine is up for ten days more inside" "$seen"; fi
  if [ $((BASH_REMATCH[4] - BASH_REMATCH[2])) -lt 60 ]; then ok "namespaces/time: $1the time of day is the same"; else failed "namespaces/time: $1the time of day is the same" "$seen"; fi
  holds "namespaces/time: $1an offset can't be changed once a process is in it" "timens_offsets: Permission denied" "$seen"
}

skeleton() {
  equal "namespaces/skeleton: $1any command runs in any namespaces, and its status comes back" "1 7" \
    "$(walk skeleton "uts pid ipc" /bin/sh -c 'echo $$; exit "$0"' 7 | tr '\n' ' '; echo "${PIPESTATUS[0]}")"
  holds "namespaces/skeleton: $1a command that isn't there is told" "no-such-program" "$(walk skeleton "uts" no-such-program)"
  holds "namespaces/skeleton: $1so is a namespace" "namespaces utz: expected some of mount" "$(walk skeleton "utz" true)"
}

unshare_() {
  equal "namespaces/unshare: $1the process itself is in the new uts namespace, not in the new pid namespace" \
    "itself: on unshared, pid as before;first child: on unshared, pid 1;second child: none can be made any more;" "$(walk unshare | tr '\n' ';')"
}

join() {
  local seen
  seen=$(walk join)
  holds "namespaces/join: $1by pid" "by pid: there, $(interfaces)" "$seen"
  holds "namespaces/join: $1by path" "by path: $(uname -n), lo walk0" "$seen"
  holds "namespaces/join: $1several at once" "several at once: there, lo walk0" "$seen"
}
interfaces() { ip -o link | sed -E 's/^[0-9]+: ([^:@]*).*/\1/' | xargs; }

cgroup() {
  if [[ $2 =~ outside:\ self\ [^$'\n']*:/.*luabox/walk-namespace ]]; then ok "namespaces/cgroup: $1outside the path is seen"; else failed "namespaces/cgroup: $1outside the path is seen" "$2"; fi
  if [[ $2 =~ inside:\ self\ [^$'\n']*:/$'\n' ]]; then ok "namespaces/cgroup: $1inside it is hidden"; else failed "namespaces/cgroup: $1inside it is hidden" "$2"; fi
  holds "namespaces/cgroup: $1who stands outside is seen by the way there" ":/../" "$(grep 'inside: 1' <<< "$2")"
  equal "namespaces/cgroup: $1the cgroup goes with the walk" "" "$(find /sys/fs/cgroup -name walk-namespace)"
}

# In a cgroup that is given to the user, of the hierarchy that has pids; by root, below a folder of this test's own.
delegated_cgroup() {
  local above given
  above=$(awk '$3 == "cgroup" && index("," $4 ",", ",pids,") { print $2; exit }' /proc/mounts)
  if [ -z "$above" ] && grep -qw pids /sys/fs/cgroup/cgroup.subtree_control 2> /dev/null; then above=/sys/fs/cgroup; fi
  [ -n "$above" ] || { skipped "namespaces/cgroup: rootless: inside it is hidden" "this host gives no cgroup the controller pids"; return; }
  given=$above/luabox-walk-$$
  mkdir -p "$given/shell"
  chown -R 1000:1000 "$given"
  cgroup "rootless: " "$(echo $BASHPID > "$given/shell/cgroup.procs"; walk cgroup)"
  find "$given" -depth -type d -exec rmdir {} \;
}

runner=()
as_root() {
  for each in uts ipc pid mount_ net user time_ skeleton unshare_ join; do $each ""; done

  # What takes root.
  local seen before
  seen=$(walk user)
  holds "namespaces/user: a range of ids" "a range: 0 100000 65536" "$seen"
  holds "namespaces/user: with it another id can be taken, and setgroups is allowed" $'\n7\na range: setgroups is allowed' "$seen"

  cgroup "" "$(walk cgroup)"

  before=$(folders 'walk-netns-*')
  holds "namespaces/join: by a name that the walk gives as ip netns does" "by name: $(uname -n), lo walk0" "$(walk join)"
  equal "namespaces/join: it leaves none" "0 $before" "$(grep -c walk-netns /proc/mounts) $(folders 'walk-netns-*')"
  mount -t tmpfs none /run  # ip netns keeps its names there
  if ip netns add luabox-walk 2> netns.err && ip -n luabox-walk link add walk1 type bridge; then
    holds "namespaces/join: by a name that ip netns made" "by name: $(uname -n), lo walk1" "$(walk join luabox-walk)"
    ip netns delete luabox-walk
  else
    skipped "namespaces/join: by a name that ip netns made" "$(cat netns.err)"
  fi
  holds "namespaces/join: a file of another kind is refused" "setns net: it is a namespace of another kind, uts" "$(mkdir -p /run/netns; touch /run/netns/uts; mount --bind /proc/self/ns/uts /run/netns/uts; walk join uts; umount /run/netns/uts)"
}
[ "$(id -u)" != 0 ] || as_root

# ---- an ordinary user
as_user
if ! allowed; then
  for each in uts ipc pid mount net user time skeleton unshare join; do skipped "namespaces/$each: rootless" "this kernel lets no ordinary user make a user namespace"; done
  finish
fi
for each in uts ipc pid mount_ net user time_ skeleton unshare_ join; do $each "rootless: "; done
refused "namespaces/cgroup: rootless: with no cgroup delegated" "no cgroup is delegated to this user" "$(walk cgroup)"
[ "$(id -u)" != 0 ] || delegated_cgroup
if ! grep -q "^$(id -un):" /etc/subuid; then
  holds "namespaces/user: rootless: without /etc/subuid there is one id, and the walk says so" "have none for this user" "$(walk user)"
fi
if [ "$(id -u)" != 0 ]; then
  if grep -q "^$(id -un):" /etc/subuid; then holds "namespaces/user: rootless: a range of ids by newuidmap and newgidmap" "a range: 1 " "$(USER=$(id -un) walk user)"; fi
elif command -v newuidmap > /dev/null && [ -e /etc/subuid ] && [ -e /etc/subgid ]; then
  echo walker:300000:1000 > subid
  echo walker:x:1000:1000::/:/bin/sh | cat /etc/passwd - > passwd
  mount --bind subid /etc/subuid
  mount --bind subid /etc/subgid
  mount --bind passwd /etc/passwd
  seen=$(walk user)
  holds "namespaces/user: rootless: a range of ids by newuidmap and newgidmap" "a range: 1 300000 1000" "$seen"
  holds "namespaces/user: rootless: with it another id can be taken, and setgroups is allowed" $'\n7\na range: setgroups is allowed' "$seen"
else
  skipped "namespaces/user: rootless: a range of ids by newuidmap and newgidmap" "there is no newuidmap here, or no /etc/subuid"
fi
finish
