#!/bin/bash
# `luabox explain --shell`: the script is run, and what the container sees is compared with luabox's own.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mkdir data
tar -C rootfs -c . | "$LUABOX" image import - golang >/dev/null
tar -C rootfs -c . | "$LUABOX" image import - box >/dev/null
for tool in unshare ip nft setpriv bash; do command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }; done

# What can be seen from inside; "end" when all is told, and a moment for who looks at the host.
cat > probe <<'END'
cut -d' ' -f4- /proc/self/mountinfo | sort
for kind in mnt uts ipc pid net cgroup user; do
  case " $HOST " in *" $(readlink /proc/self/ns/$kind) "*) echo "$kind: the host's";; *) echo "$kind: its own";; esac
done
cat /proc/self/cgroup /proc/sys/kernel/hostname /etc/hosts /etc/hostname /etc/resolv.conf
for file in $(find /sys/fs/cgroup -name '*.limit_in_bytes' -o -name '*.max' -o -name 'cpu.*_us' -o -name 'cpuset.cpus' -o -name memory.swappiness -o -name devices.list -o -name 'cpu.shares' | sort); do
  echo "$file: $(tr '\n' ' ' < $file)"
done
ip address | grep -vE 'link/ether|fe80|valid_lft'; ip route; ip -6 route | grep -v fe80
grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs)' /proc/self/status
env | grep -v -E '^(HOST|SHLVL|_|OLDPWD)=' | sort
pwd; umask; ulimit -n; cut -d' ' -f19 /proc/self/stat; cat /proc/self/oom_score_adj
ls -l /dev | awk '{ $6 = $7 = $8 = ""; print }'
echo end; sleep 0.5
END
HOST=$(for kind in mnt uts ipc pid net cgroup user; do readlink /proc/self/ns/$kind; done | tr '\n' ' ')

# seen COMMAND...: what the container says, and the host's rules while it runs; names that differ from run to run are made the same.
seen() {
  "$@" > said 2>&1 & local pid=$!
  within 20 grep -qx end said
  nft list ruleset >> said
  wait $pid; echo "status $?" >> said
  sed -E "s/lb[0-9a-f]{8}/INTERFACE/g; s/eth0@[a-z0-9]+/eth0/; s/^([0-9]+: [a-z0-9]+:) <[^>]*>/\1/; s,(lower|upper|work)dir=[^ \,]*,\1dir=X,g; s/link-netnsid [0-9]+//; s/HOST='[^']*'//" said
}
# compare NAME EXAMPLE ARG...
compare() {
  local name=$1 missing; shift
  local command=(/bin/sh -c "HOST='$HOST'; $(cat probe)")
  if ! "$LUABOX" explain --shell --name shell-test "$@" -- "${command[@]}" > it.sh 2> said; then skipped "$name" "$(head -1 said)"; return; fi
  missing=$(sed -nE 's/^ *# no shell form: ([^ ]*): .*/\1/p' it.sh | grep -vxE 'filter:load|security.session_keyring|an' | sort -u | tr '\n' ' ')
  if [ -n "$missing" ]; then skipped "$name" "no shell form: $missing"; return; fi
  local own; own=$(seen "$LUABOX" run --name shell-test "$@" -- "${command[@]}")
  within 3 clean
  local shells; shells=$(seen bash it.sh)
  holds "$name: luabox's own has run" "status 0" "$own"
  if [ "$own" = "$shells" ]; then ok "$name: the shell script makes the same container"; else
    failed "$name: the shell script makes the same container" "$(diff <(echo "$own") <(echo "$shells") | head -20)"
  fi
  compared=$((compared + 1))
}
compared=0

script "command = { '/bin/sh' }"; cp box.lua plain.lua
compare "a plain container" plain.lua
script "hostname = 'shelly'" "domainname = 'example.org'" "cgroup = { memory = '64MiB', cpu = 0.5, pids = 100, cpuset = '0' }" "user = 'user'" "env = { WORD = \"it's\" }" \
  "mounts = { tmpfs { '/tmp', size = '1MiB' }, bind { '$work/data', '/mnt/data', readonly = true }, bind { '/etc/passwd', '/etc/shells' } }" \
  "rlimits = { nofile = 123 }" "umask = '027'" "cwd = '/tmp'" "oom_score_adj = 100" "nice = 3" "sysctl = { ['net.core.somaxconn'] = 77 }" \
  "function(this) this.root:write('/etc/motd', 'hello\\n') end" "capabilities = { add = { 'net_raw' }, drop = { 'kill' } }" "command = { '/bin/sh' }"
compare "one with most that a container can have" box.lua
script "network = veth { host = { '10.96.1.1/24', 'fd00:96::1/64' }, guest = { '10.96.1.2/24', 'fd00:96::2/64' }, nat = true, publish = { '8080:80', '127.0.0.1:8081:81/udp' } }" "command = { '/bin/sh' }"
compare "one with a network, NAT and published ports" box.lua
script "network = 'host'" "namespaces = { ipc = 'host', uts = 'host' }" "etc = false" "command = { '/bin/sh' }"
compare "one that shares namespaces" box.lua

while read -r example; do
  compare "$example" "$top/$example" "$work/rootfs"
done < <(cd "$top" && grep -lE '^return (container|\{)' -r examples --include='*.lua' | sort)
succeeds "at least six were compared" test $compared -ge 6

"$LUABOX" explain --shell plain.lua > it.sh
holds "what has no shell form is said" "# no shell form: filter:load" "$(cat it.sh)"
holds "each part has the line that asks" "# plain.lua:" "$(cat it.sh)"
succeeds "it is a script that bash can read" bash -n it.sh
leaves_nothing "nothing is left behind"
finish
